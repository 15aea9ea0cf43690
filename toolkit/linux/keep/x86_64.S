/* long keep(int until /edi/, long flags /rsi/): make a worker that shares this process's memory, and a keeper of it.
 *
 * The keeper lets go of every descriptor but `until`, waits until that has ended and a moment more, and ends.  The worker returns 0, on
 * the stack of the caller, which ends without touching it; so does the keeper.  Where no worker can be made, the caller
 * returns the error, and the keeper ends as soon as the other end of `until` is closed.
 * Registers alone carry what has to survive a system call, which spoils rax, rcx and r11.
 * Assembled into toolkit/linux/keeper.py; a test compares the two.
 */
        .globl keep
keep:   mov     %edi, %r9d                      /* r9d: until */
        mov     %rsi, %r8                       /* r8: flags; the fifth argument of clone, which only CLONE_SETTLS reads */
        mov     $218, %eax                      /* set_tid_address(NULL): else the end of the caller clears a word of */
        xor     %edi, %edi                      /* the worker's memory */
        syscall
        mov     $56, %eax                       /* clone(CLONE_VM|SIGCHLD, NULL) */
        mov     $0x111, %edi
        xor     %esi, %esi
        syscall
        test    %rax, %rax
        js      failed
        jz      keeper
        mov     $56, %eax                       /* clone(flags, NULL) */
        mov     %r8, %rdi
        xor     %esi, %esi
        syscall
        test    %rax, %rax
        jg      leave
failed: ret
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
