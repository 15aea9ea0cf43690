/* As x86_64.S, which says what each part is for.  A system call spoils x0 alone. */
        .globl succeed, keep
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
keep:   mov     w9, w0                          /* w9: until */
        mov     x8, #220                        /* clone(CLONE_VM|SIGCHLD, NULL, NULL, 0, NULL) */
        mov     x0, #0x111
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        svc     #0
        cbz     x0, keeper
        ret
keeper: mov     x8, #24                         /* dup3(until, 0, 0) */
        mov     w0, w9
        svc     #0
        mov     x8, #436                        /* close_range(1, ~0, 0) */
        mov     x0, #1
        mov     x1, #0xffffffff
        svc     #0
        cbnz    x0, leave
        mov     x8, #63                         /* read(0, NULL, 1) */
        mov     x1, #0
        mov     x2, #1
        svc     #0
        mov     x8, #101                        /* nanosleep({0, 5000000}, NULL) */
        adr     x0, pause
        svc     #0
leave:  mov     x8, #94                         /* exit_group(0) */
        mov     x0, #0
        svc     #0
        .balign 8
pause:  .quad   0, 5000000
