/* Functions for processes that share their memory.  Registers alone carry what has to survive a system call, which
 * spoils rax, rcx and r11.  Assembled into toolkit/linux/keeper.py; a test compares the two.
 *
 * long succeed(long flags): make a process that goes on in the caller's place, on its stack and in its memory, and end.
 * Returns 0 in the new one; where none can be made, the error in the old one.
 */
        .globl succeed, bear, execute
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
/* long bear(long flags, int until, long *point): make a process that goes on in the caller's place, on its stack and in
 * its memory, and wait outside until it needs the memory no more; go on from `point` then, see keeper.py.  Returns 0 in
 * the new one; where none can be made, the error in the old one.
 */
bear:   mov     %rdi, %r8                       /* r8: flags */
        mov     %esi, %r9d                      /* r9d: until */
        mov     %rdx, %r10                      /* r10: point; the fourth argument of clone, for CLONE_CHILD_SETTID */
        mov     $218, %eax                      /* set_tid_address(NULL) */
        xor     %edi, %edi
        syscall
        mov     $56, %eax                       /* clone(flags, NULL) */
        mov     %r8, %rdi
        xor     %esi, %esi
        syscall
        test    %rax, %rax
        jg      wait
        ret
wait:   mov     $436, %eax                      /* close_range(3, 199, 0) */
        mov     $3, %edi
        mov     $199, %esi
        xor     %edx, %edx
        syscall
        test    %eax, %eax
        jnz     leave                           /* Linux before 5.9: descriptors that others wait for must not stay open */
        xor     %eax, %eax                      /* read(until, NULL, 1): an error where somebody writes */
        mov     %r9d, %edi
        xor     %esi, %esi
        mov     $1, %edx
        syscall
        test    %rax, %rax
        jnz     leave
        cmpq    $0, (%r10)
        je      leave                           /* it has ended, or is a program in another way */
        mov     $7, %eax                        /* poll(point + 8, 1, 20) */
        lea     8(%r10), %rdi
        mov     $1, %esi
        mov     $20, %edx
        syscall
        testb   $16, 14(%r10)                   /* POLLHUP */
        jnz     leave
        testb   $1, 14(%r10)                    /* POLLIN */
        jz      rest
        mov     (%r10), %rsp
        movq    $0, (%r10)
        xor     %eax, %eax
        jmp     return
rest:   mov     $7, %eax                        /* poll(NULL, 0, 5): a quick program needs the processors until its end */
        xor     %edi, %edi
        xor     %esi, %esi
        mov     $5, %edx
        syscall
leave:  mov     $231, %eax                      /* exit_group(0) */
        xor     %edi, %edi
        syscall
        .org 320
/* long execute(const char *path, char **argv, char **env, long *point): become another program, and note at `point` where
 * whoever keeps the memory can go on: it returns 0 there, the error here.
 */
execute:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rcx, %r8                       /* r8: point */
        mov     %rsp, (%r8)
        mov     $59, %eax                       /* execve(path, argv, env) */
        syscall
        movq    $0, (%r8)
return: pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret
