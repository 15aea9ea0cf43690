/* As x86_64.S, which says what each part is for.  A system call spoils x0 alone. */
        .globl succeed, bear, execute
succeed:
        mov     x9, x0                          /* x9: flags */
        mov     x8, #96                         /* set_tid_address(NULL) */
        mov     x0, #0
        svc     #0
        mov     x8, #220                        /* clone(flags, NULL, NULL, 0, NULL) */
        mov     x0, x9
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        svc     #0
        cmp     x0, #0
        b.gt    leave
        ret
        .balign 64
bear:   mov     x9, x0                          /* x9: flags */
        mov     w10, w1                         /* w10: until */
        mov     x11, x2                         /* x11: point */
        mov     x8, #96                         /* set_tid_address(NULL) */
        mov     x0, #0
        svc     #0
        mov     x8, #220                        /* clone(flags, NULL, NULL, 0, NULL) */
        mov     x0, x9
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        svc     #0
        cmp     x0, #0
        b.gt    wait
        ret
wait:   mov     x8, #436                        /* close_range(3, 199, 0) */
        mov     x0, #3
        mov     x1, #199
        mov     x2, #0
        svc     #0
        cbnz    x0, leave
        mov     x8, #63                         /* read(until, NULL, 1) */
        mov     w0, w10
        mov     x1, #0
        mov     x2, #1
        svc     #0
        cbnz    x0, leave
        ldr     x9, [x11]
        cbz     x9, leave
        mov     x8, #73                         /* ppoll(point + 8, 1, {0, 20000000}, NULL, 0) */
        add     x0, x11, #8
        mov     x1, #1
        add     x2, x11, #16
        mov     x3, #0
        mov     x4, #0
        str     xzr, [x11, #16]
        ldr     x9, patience
        str     x9, [x11, #24]
        svc     #0
        ldrb    w9, [x11, #14]
        tbnz    w9, #4, leave                   /* POLLHUP */
        tbz     w9, #0, rest                    /* POLLIN */
        ldr     x9, [x11]
        mov     sp, x9
        str     xzr, [x11]
        mov     x0, #0
        b       return
rest:   mov     x8, #101                        /* nanosleep({0, 5000000}, NULL) */
        adr     x0, pause
        mov     x1, #0
        svc     #0
leave:  mov     x8, #94                         /* exit_group(0) */
        mov     x0, #0
        svc     #0
        .org 320
execute:
        stp     x29, x30, [sp, #-160]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x11, x3                         /* x11: point */
        mov     x9, sp
        str     x9, [x11]
        mov     x8, #221                        /* execve(path, argv, env) */
        svc     #0
        str     xzr, [x11]
return: ldp     d14, d15, [sp, #144]
        ldp     d12, d13, [sp, #128]
        ldp     d10, d11, [sp, #112]
        ldp     d8, d9, [sp, #96]
        ldp     x27, x28, [sp, #80]
        ldp     x25, x26, [sp, #64]
        ldp     x23, x24, [sp, #48]
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #160
        ret
        .balign 8
pause:  .quad   0, 5000000
patience: .quad 20000000
