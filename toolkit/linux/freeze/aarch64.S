/* As x86_64.S, which says what each part is for.  A system call spoils x0 alone. */
        .globl freeze, sleep
freeze: mov     x9, x0                          /* x9: region */
        mov     x10, x0
        mov     w11, w1                         /* w11: fd */
write:  ldr     x1, [x9]
        cbz     x1, map
        ldp     x2, x3, [x9, #8]
more:   mov     x8, #68                         /* pwrite64(fd, address, bytes, offset) */
        mov     w0, w11
        svc     #0
        cmp     x0, #0
        b.le    frozen
        add     x1, x1, x0
        add     x3, x3, x0
        subs    x2, x2, x0
        b.ne    more
        add     x9, x9, #32
        b       write
map:    ldr     x0, [x10]
        cbz     x0, frozen
        ldr     x1, [x10, #8]
        ldr     w2, [x10, #24]
        mov     x3, #0x12
        mov     w4, w11
        ldr     x5, [x10, #16]
        mov     x8, #222                        /* mmap(address, bytes, protection, MAP_PRIVATE|MAP_FIXED, fd, offset) */
        svc     #0
        tbnz    x0, #63, frozen
        add     x10, x10, #32
        b       map
frozen: ret
        .balign 128

        .set RECORDS, 0
        .set TEXT, 8
        .set TEXT_END, 16
        .set ENTRIES, 24
        .set KEPT, 32
        .set KEPT_END, 40
        .set PAGE_SHIFT, 48
        .set MAPS_FD, 56
        .set PAGEMAP_FD, 64
        .set FDS, 72
        .set FD_COUNT, 80
        .set PATIENCE, 88
        .set ALL, 96
        .set MASK, 104
        .set ACTION, 112
        .set SPREAD, 144
        .set USED, 184
sleep:  stp     x19, x20, [sp, #-80]!
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        str     x30, [sp, #64]
        mov     x19, x0                         /* x19: bed */
        ldr     x20, [x19, #PAGE_SHIFT]
        mov     x8, #135                        /* rt_sigprocmask(SIG_BLOCK, all, mask, 8) */
        mov     x0, #0
        add     x1, x19, #ALL
        add     x2, x19, #MASK
        mov     x3, #8
        svc     #0
        mov     w21, #1
caught: mov     x8, #134                        /* rt_sigaction(signal, NULL, action, 8) */
        mov     w0, w21
        mov     x1, #0
        add     x2, x19, #ACTION
        mov     x3, #8
        svc     #0
        mov     x0, #-16                        /* EBUSY */
        ldr     x1, [x19, #ACTION]
        cmp     x1, #1
        b.hi    up
        add     w21, w21, #1
        cmp     w21, #64
        b.ls    caught
        ldr     x22, [x19, #TEXT]               /* x22: the end of the text */
look:   mov     x0, #-28                        /* ENOSPC */
        ldr     x2, [x19, #TEXT_END]
        subs    x2, x2, x22
        b.ls    up
        mov     x8, #63                         /* read(maps, x22, x2) */
        ldr     w0, [x19, #MAPS_FD]
        mov     x1, x22
        svc     #0
        tbnz    x0, #63, up
        add     x22, x22, x0
        cbnz    x0, look

        ldr     x23, [x19, #RECORDS]            /* x23: mapping */
        ldr     x24, [x19, #TEXT]               /* x24: its line, or one before it */
        ldr     x25, [x19, #KEPT]               /* x25: where the next word is kept */
        ldr     x17, [x19, #KEPT_END]
region: ldr     x21, [x23]                      /* x21: address */
        cbz     x21, packed
        ldr     x0, [x23, #16]
        cbz     x0, beyond
        bl      find
        b.ne    beyond
chunk:  ldp     x0, x1, [x23]
        add     x2, x0, x1
        subs    x2, x2, x21
        b.eq    beyond
        lsr     x2, x2, x20
        mov     x3, #512
        cmp     x2, x3
        csel    x2, x2, x3, lo
        lsl     x2, x2, #3
        lsr     x3, x21, x20
        lsl     x3, x3, #3
        mov     x8, #67                         /* pread64(pagemap, entries, 8 * pages, 8 * first) */
        ldr     w0, [x19, #PAGEMAP_FD]
        ldr     x1, [x19, #ENTRIES]
        svc     #0
        cmp     x0, x2
        mov     x0, #-5                         /* EIO */
        b.ne    up
        mov     x9, x1                          /* x9: entry, up to x10 */
        add     x10, x1, x2
page:   ldr     x0, [x9], #8
        mov     x11, #1
        lsl     x11, x11, x20
        add     x11, x11, x21                   /* x11: the end of the page */
        tbnz    x0, #61, turn                   /* the file's */
        lsr     x0, x0, #62                     /* present, or in swap */
        cbz     x0, turn
        ldr     x1, [x23]
        ldr     x12, [x23, #16]
        sub     x1, x21, x1
        add     x12, x12, x1                    /* x12: the same word in the image */
same:   ldr     x0, [x21]
        ldr     x1, [x12]
        cmp     x0, x1
        b.ne    differ
        add     x21, x21, #8
        add     x12, x12, #8
        cmp     x21, x11
        b.lo    same
        b       turn
differ: mov     x13, x25                        /* x13: head of this run of words */
        str     x21, [x25], #8
keep:   cmp     x25, x17
        b.hs    full
        str     x0, [x25], #8
        add     x21, x21, #8
        add     x12, x12, #8
        cmp     x21, x11
        b.hs    close
        ldr     x0, [x21]
        ldr     x1, [x12]
        cmp     x0, x1
        b.ne    keep
close:  sub     x1, x25, x13
        sub     x1, x1, #8
        ldr     x0, [x13]
        orr     x0, x0, x1, lsl #45
        str     x0, [x13]
        cmp     x21, x11
        b.lo    same
turn:   mov     x21, x11
        cmp     x9, x10
        b.lo    page
        b       chunk
beyond: add     x23, x23, #40
        b       region
full:   mov     x0, #-28                        /* ENOSPC */
        b       up

packed: ldr     x0, [x19, #KEPT]
        sub     x0, x25, x0
        str     x0, [x19, #USED]
        ldr     x23, [x19, #RECORDS]
        ldr     x24, [x19, #TEXT]
give:   ldr     x0, [x23]
        cbz     x0, given
        bl      find
        b.ne    past
        ldp     x0, x1, [x23]
        bl      drop
past:   add     x23, x23, #40
        b       give
given:  mov     x0, sp
        lsr     x0, x0, x20
        lsl     x0, x0, x20
        mov     x1, #0x80000
        sub     x0, x0, x1
        bl      drop
        add     x23, x19, #SPREAD
spread: ldr     x0, [x23]
        cbz     x0, doze
        ldr     x1, [x23, #8]
        bl      drop
        add     x23, x23, #16
        b       spread
doze:   mov     x8, #73                         /* ppoll(fds, count, patience, mask, 8) */
        ldr     x0, [x19, #FDS]
        ldr     w1, [x19, #FD_COUNT]
        ldr     x2, [x19, #PATIENCE]
        add     x3, x19, #MASK
        mov     x4, #8
        svc     #0
        mov     x21, x0
        ldr     x1, [x19, #KEPT]
back:   cmp     x1, x25
        b.hs    awake
        ldr     x2, [x1], #8
        ubfx    x0, x2, #0, #48
        lsr     x2, x2, #48
word:   ldr     x3, [x1], #8
        str     x3, [x0], #8
        subs    x2, x2, #1
        b.ne    word
        b       back
awake:  ldr     x0, [x19, #KEPT]
        sub     x1, x17, x0
        bl      drop
        mov     x0, x21
up:     mov     x21, x0
        mov     x8, #135                        /* rt_sigprocmask(SIG_SETMASK, mask, NULL, 8) */
        mov     x0, #2
        add     x1, x19, #MASK
        mov     x2, #0
        mov     x3, #8
        svc     #0
        mov     x0, x21
        ldr     x30, [sp, #64]
        ldp     x25, x26, [sp, #48]
        ldp     x23, x24, [sp, #32]
        ldp     x21, x22, [sp, #16]
        ldp     x19, x20, [sp], #80
        ret

drop:   mov     x8, #233                        /* madvise(x0, x1, MADV_DONTNEED) */
        mov     x2, #4
        svc     #0
        ret

find:   mov     x2, x24
line:   cmp     x2, x22
        b.hs    gone
        ldp     x3, x4, [x23, #24]
        mov     x5, x2
letter: ldrb    w6, [x3], #1
        ldrb    w7, [x5], #1
        cmp     w6, w7
        b.ne    skip
        subs    x4, x4, #1
        b.ne    letter
        mov     x24, x2                         /* the flags say equal */
        ret
skip:   ldrb    w6, [x2], #1                    /* to the next line */
        cmp     w6, #10
        b.ne    skip
        b       line
gone:   cmp     x2, #0                          /* not equal */
        ret
