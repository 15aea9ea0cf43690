/* The init of --init: blocks all signals, passes on what comes, reaps what dies, ends as the program ends.
 * Its environment is one word, MAIN=<pid of the program>. No library, no data, one page.
 * Assembled into toolkit/runtime/steps/init.py; a test compares the two.
 */
        .globl _start
_start: mov     (%rsp), %rax                    /* argc */
        mov     16(%rsp,%rax,8), %rsi           /* envp[0] */
        xor     %ebp, %ebp                      /* ebp: the program's pid */
digit:  movzbl  5(%rsi), %eax                   /* behind "MAIN=" */
        sub     $'0', %eax
        cmp     $9, %eax
        ja      ready
        imul    $10, %ebp, %ebp
        add     %eax, %ebp
        inc     %rsi
        jmp     digit
ready:  push    $-1
        mov     %rsp, %r12                      /* r12: the set of all signals */
        mov     $14, %eax                       /* rt_sigprocmask(SIG_SETMASK, all, NULL, 8) */
        mov     $2, %edi
        mov     %r12, %rsi
        xor     %edx, %edx
        mov     $8, %r10d
        syscall
        push    $0x74696e69                     /* "init" */
        mov     $157, %eax                      /* prctl(PR_SET_NAME, "init") */
        mov     $15, %edi
        mov     %rsp, %rsi
        syscall
        mov     $157, %eax                      /* prctl(PR_SET_CHILD_SUBREAPER, 1) */
        mov     $36, %edi
        mov     $1, %esi
        xor     %edx, %edx
        xor     %r10d, %r10d
        xor     %r8d, %r8d
        syscall
        mov     %rsp, %r13                      /* r13: the status of who died */
reap:   mov     $61, %eax                       /* wait4(-1, &status, WNOHANG, NULL) */
        mov     $-1, %rdi
        mov     %r13, %rsi
        mov     $1, %edx
        xor     %r10d, %r10d
        syscall
        test    %eax, %eax
        js      lost                            /* ECHILD: the program is somebody else's */
        jz      wait
        cmp     %ebp, %eax
        jne     reap
        mov     (%r13), %eax
        mov     %eax, %edi
        and     $0x7f, %edi
        jz      exited
        add     $128, %edi                      /* ended by a signal */
        jmp     leave
exited: movzbl  %ah, %edi
leave:  mov     $231, %eax                      /* exit_group(edi) */
        syscall
lost:   mov     $1, %edi
        jmp     leave
wait:   mov     $128, %eax                      /* rt_sigtimedwait(all, NULL, NULL, 8) */
        mov     %r12, %rdi
        xor     %esi, %esi
        xor     %edx, %edx
        mov     $8, %r10d
        syscall
        cmp     $-4, %eax                       /* EINTR */
        je      reap
        test    %eax, %eax
        js      lost                            /* a filter forbids it */
        cmp     $17, %eax                       /* SIGCHLD */
        je      reap
        mov     %eax, %esi
        mov     $62, %eax                       /* kill(program, signal) */
        mov     %ebp, %edi
        syscall
        jmp     reap
