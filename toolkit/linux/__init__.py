"""The kernel: the only package that makes system calls of its own.

Files are named as the kernel names things.  Each wrapper is the call, one span
(toolkit.trace) and one error path.  Features are found by trying, never by
comparing versions.  ctypes and fcntl are imported nowhere else.
"""
