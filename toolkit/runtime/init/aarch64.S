/* The init of --init for 64-bit Arm; see x86_64.S, which says what each part is for. */
        .globl _start
_start: ldr     x0, [sp]
        add     x1, sp, x0, lsl #3
        ldr     x1, [x1, #16]
        add     x1, x1, #5
        mov     w19, wzr
        mov     w3, #10
digit:  ldrb    w2, [x1], #1
        sub     w2, w2, #'0'
        cmp     w2, #9
        b.hi    ready
        madd    w19, w19, w3, w2
        b       digit
ready:  mov     x20, #-1
        movz    w22, #0x6e69
        movk    w22, #0x7469, lsl #16
        stp     x20, x22, [sp, #-16]!
        mov     x20, sp
        mov     x8, #135
        mov     x0, #2
        mov     x1, x20
        mov     x2, xzr
        mov     x3, #8
        svc     #0
        mov     x8, #167
        mov     x0, #15
        add     x1, x20, #8
        svc     #0
        mov     x8, #167
        mov     x0, #36
        mov     x1, #1
        mov     x2, xzr
        mov     x3, xzr
        mov     x4, xzr
        svc     #0
        add     x21, x20, #8
reap:   mov     x8, #260
        mov     x0, #-1
        mov     x1, x21
        mov     x2, #1
        mov     x3, xzr
        svc     #0
        cmp     w0, #0
        b.lt    lost
        b.eq    wait
        cmp     w0, w19
        b.ne    reap
        ldr     w1, [x21]
        ands    w0, w1, #0x7f
        b.eq    exited
        add     w0, w0, #128
        b       leave
exited: ubfx    w0, w1, #8, #8
leave:  mov     x8, #94
        svc     #0
lost:   mov     w0, #1
        b       leave
wait:   mov     x8, #137
        mov     x0, x20
        mov     x1, xzr
        mov     x2, xzr
        mov     x3, #8
        svc     #0
        cmn     w0, #4
        b.eq    reap
        cmp     w0, #0
        b.lt    lost
        cmp     w0, #17
        b.eq    reap
        mov     w1, w0
        mov     x8, #129
        mov     w0, w19
        svc     #0
        b       reap
