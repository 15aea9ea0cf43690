/* Two functions for processes that share their memory.  Registers alone carry what has to survive a system call, which
 * spoils rax, rcx and r11.  Assembled into toolkit/linux/keeper.py; a test compares the two.
 *
 * long succeed(long flags): make a process that goes on in the caller's place, on its stack and in its memory, and end.
 * Returns 0 in the new one; where none can be made, the error in the old one.
 */
        .globl succeed, keep
succeed:
        mov     %rdi, %r8                       /* r8: flags; the fifth argument of clone, which only CLONE_SETTLS reads */
        mov     $218, %eax                      /* set_tid_address(NULL): else the end of the old one clears a word of */
        xor     %edi, %edi                      /* the new one's memory */
        syscall
        mov     $56, %eax                       /* clone(flags, NULL) */
        mov     %r8, %rdi
        xor     %esi, %esi
        syscall
        test    %rax, %rax
        jg      leave
        ret
        .balign 64
/* long keep(int until): make a keeper of the caller's memory; return its pid or the error.  It lets go of every
 * descriptor but `until`, waits until that has ended and a moment more, and ends.
 */
keep:   mov     %edi, %r9d                      /* r9d: until */
        mov     $56, %eax                       /* clone(CLONE_VM|SIGCHLD, NULL) */
        mov     $0x111, %edi
        xor     %esi, %esi
        syscall
        test    %rax, %rax
        jz      keeper
        ret
keeper: mov     $33, %eax                       /* dup2(until, 0) */
        mov     %r9d, %edi
        xor     %esi, %esi
        syscall
        mov     $436, %eax                      /* close_range(1, ~0, 0) */
        mov     $1, %edi
        mov     $-1, %esi
        xor     %edx, %edx
        syscall
        test    %eax, %eax
        jnz     leave                           /* Linux before 5.9: descriptors that others wait for must not stay open */
        xor     %eax, %eax                      /* read(0, NULL, 1): nobody ever writes */
        xor     %edi, %edi
        xor     %esi, %esi
        mov     $1, %edx
        syscall
        mov     $7, %eax                        /* poll(NULL, 0, 5): a quick program needs the processors until its end */
        xor     %edi, %edi
        xor     %esi, %esi
        mov     $5, %edx
        syscall
leave:  mov     $231, %eax                      /* exit_group(0) */
        xor     %edi, %edi
        syscall
