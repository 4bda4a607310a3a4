# platform.pxd - what kio asks of the operating system, and the only #ifdef on it
#
# Positioned reads and writes, room on disk, locks, anonymous memory, huge-page and
# read-ahead advice.  Advice may be ignored anywhere; everything else works on POSIX
# systems and on Windows, or says in its comment what it answers where it does not.

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t


cdef extern from *:
    """
    #ifndef KIO_PLATFORM_H
    #define KIO_PLATFORM_H
    #if defined(__linux__) && !defined(_GNU_SOURCE)
    #  define _GNU_SOURCE 1   /* preadv2 */
    #endif
    #include <errno.h>
    #include <stdint.h>
    #include <stdlib.h>
    #ifdef _WIN32
    #  include <io.h>
    #  include <windows.h>
    #else
    #  include <fcntl.h>
    #  include <stdio.h>
    #  include <sys/file.h>
    #  include <sys/mman.h>
    #  ifdef __GLIBC__
    #    include <malloc.h>
    #  endif
    #  include <sys/uio.h>
    #  include <sys/stat.h>
    #  include <time.h>
    #  include <unistd.h>
    #endif

    /* Largest single request: Linux stops at 2 GiB - 4 KiB, macOS at 2 GiB - 1. */
    #define KIO_READ_MAX ((size_t)1 << 30)

    /* One positioned read.  Returns bytes read, 0 at the end of the file, -1 and errno. */
    static inline int64_t kio_pread(int fd, void *dst, size_t nbytes, uint64_t offset)
    {
        if (nbytes > KIO_READ_MAX)
            nbytes = KIO_READ_MAX;
    #ifdef _WIN32
        OVERLAPPED at = {0};
        DWORD got = 0;
        at.Offset = (DWORD)offset;
        at.OffsetHigh = (DWORD)(offset >> 32);
        if (!ReadFile((HANDLE)_get_osfhandle(fd), dst, (DWORD)nbytes, &got, &at)) {
            if (GetLastError() == ERROR_HANDLE_EOF)
                return 0;
            errno = EIO;
            return -1;
        }
        return (int64_t)got;
    #else
        ssize_t got;
        do {
            got = pread(fd, dst, nbytes, (off_t)offset);
        } while (got < 0 && errno == EINTR);
        return (int64_t)got;
    #endif
    }

    /* One positioned write.  Returns bytes written, or -1 and errno. */
    static inline int64_t kio_pwrite(int fd, const void *src, size_t nbytes, uint64_t offset)
    {
        if (nbytes > KIO_READ_MAX)
            nbytes = KIO_READ_MAX;
    #ifdef _WIN32
        OVERLAPPED at = {0};
        DWORD put = 0;
        at.Offset = (DWORD)offset;
        at.OffsetHigh = (DWORD)(offset >> 32);
        if (!WriteFile((HANDLE)_get_osfhandle(fd), src, (DWORD)nbytes, &put, &at)) {
            errno = GetLastError() == ERROR_DISK_FULL ? ENOSPC : EIO;
            return -1;
        }
        return (int64_t)put;
    #else
        ssize_t put;
        do {
            put = pwrite(fd, src, nbytes, (off_t)offset);
        } while (put < 0 && errno == EINTR);
        return (int64_t)put;
    #endif
    }

    /*
     * Make a file that is shorter nbytes long, with room on disk where the file system
     * can promise it; the new bytes are zero.  Returns 0, or -1 and errno.
     */
    static inline int kio_allocate(int fd, uint64_t nbytes)
    {
    #ifdef _WIN32
        errno = _chsize_s(fd, (__int64)nbytes);
        return errno ? -1 : 0;
    #else
        int failed;
    #  if defined(__linux__)
        /* Not posix_fallocate: where the system cannot, glibc writes every block. */
        do {
            failed = fallocate(fd, 0, 0, (off_t)nbytes);
        } while (failed && errno == EINTR);
        if (!failed)
            return 0;
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return -1;
    #  elif defined(F_PREALLOCATE)
        struct stat now;
        if (!fstat(fd, &now)) {
            fstore_t room = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, (off_t)nbytes - now.st_size, 0};
            if (fcntl(fd, F_PREALLOCATE, &room) < 0 && errno == ENOSPC)
                return -1;
        }
    #  endif
        do {
            failed = ftruncate(fd, (off_t)nbytes);
        } while (failed && errno == EINTR);
        return failed;
    #endif
    }

    /*
     * Lock an open file against other callers of kio_lock, until it is closed.
     * Returns 0; 1 if another holds it; -1 where files cannot be locked.
     *
     * On Linux a lock of the open file description: flock() would lock out HDF5, which
     * takes one on what it reads, and a plain fcntl() lock goes with any close of the file.
     */
    static inline int kio_lock(int fd)
    {
    #if defined(_WIN32)
        (void)fd;
        return -1;
    #elif defined(F_OFD_SETLK)
        struct flock whole = {0};
        int failed;
        whole.l_type = F_WRLCK;
        whole.l_whence = SEEK_SET;
        do {
            failed = fcntl(fd, F_OFD_SETLK, &whole);
        } while (failed && errno == EINTR);
        return !failed ? 0 : errno == EAGAIN || errno == EACCES ? 1 : -1;
    #else
        int failed;
        do {
            failed = flock(fd, LOCK_EX | LOCK_NB);
        } while (failed && errno == EINTR);
        return !failed ? 0 : errno == EWOULDBLOCK ? 1 : -1;
    #endif
    }

    /* Exchange two paths in one step.  Returns 0, or -1 and errno: ENOSYS where it cannot. */
    static inline int kio_exchange(const char *a, const char *b)
    {
    #if defined(__linux__) && defined(RENAME_EXCHANGE)
        return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
    #elif defined(RENAME_SWAP)
        return renamex_np(a, b, RENAME_SWAP);
    #else
        (void)a; (void)b;
        errno = ENOSYS;
        return -1;
    #endif
    }

    /* Zeroed memory that takes no room until it is touched; NULL and errno on failure. */
    static inline void *kio_reserve(size_t nbytes)
    {
    #ifdef _WIN32
        return VirtualAlloc(NULL, nbytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    #else
        int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    #  ifdef MAP_NORESERVE
        flags |= MAP_NORESERVE;
    #  endif
        void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, flags, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    #endif
    }

    static inline void kio_release(void *p, size_t nbytes)
    {
    #ifdef _WIN32
        (void)nbytes;
        VirtualFree(p, 0, MEM_RELEASE);
    #else
        munmap(p, nbytes);
    #endif
    }

    /* Let whole pages of reserved memory go; they read as zeros then.  Returns 0 where they stay. */
    static inline int kio_discard(void *p, size_t nbytes)
    {
    #if defined(__linux__)
        int saved = errno, failed = madvise(p, nbytes, MADV_DONTNEED);
        errno = saved;
        return !failed;
    #else
        (void)p; (void)nbytes;
        return 0;
    #endif
    }

    /* Give free heap memory back to the system, in all of the allocator's arenas. */
    static inline void kio_trim(void)
    {
    #ifdef __GLIBC__
        (void)malloc_trim(0);
    #endif
    }

    /* Ask for huge pages on the whole pages inside [p, p + nbytes). */
    static inline void kio_advise_huge(void *p, size_t nbytes)
    {
    #if defined(MADV_HUGEPAGE)
        uintptr_t first = ((uintptr_t)p + 4095) & ~(uintptr_t)4095;
        uintptr_t last = ((uintptr_t)p + nbytes) & ~(uintptr_t)4095;
        int saved = errno;
        if (last > first)
            (void)madvise((void *)first, last - first, MADV_HUGEPAGE);
        errno = saved;
    #else
        (void)p; (void)nbytes;
    #endif
    }

    /* Give fresh memory its pages, all at once: a fault each would cost more than the page. */
    static inline void kio_populate(void *p, size_t nbytes)
    {
    #if defined(__linux__)
        uintptr_t first = (uintptr_t)p & ~(uintptr_t)4095;
        uintptr_t last = ((uintptr_t)p + nbytes + 4095) & ~(uintptr_t)4095;
        int saved = errno;
        (void)madvise((void *)first, last - first, 23 /* MADV_POPULATE_WRITE, Linux 5.14 */);
        errno = saved;
    #else
        (void)p; (void)nbytes;
    #endif
    }

    /* Ask for small pages in [p, p + nbytes). */
    static inline void kio_advise_small(void *p, size_t nbytes)
    {
    #if defined(MADV_NOHUGEPAGE)
        uintptr_t first = (uintptr_t)p & ~(uintptr_t)4095;
        uintptr_t last = ((uintptr_t)p + nbytes + 4095) & ~(uintptr_t)4095;
        int saved = errno;
        (void)madvise((void *)first, last - first, MADV_NOHUGEPAGE);
        errno = saved;
    #else
        (void)p; (void)nbytes;
    #endif
    }

    /* Nanoseconds that only go forward; 0 where there is no such clock. */
    static inline int64_t kio_now_ns(void)
    {
    #if defined(CLOCK_MONOTONIC) && !defined(_WIN32)
        struct timespec now;
        return clock_gettime(CLOCK_MONOTONIC, &now) ? 0 : (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    #else
        return 0;
    #endif
    }

    /* Let other threads run for about so many microseconds. */
    static inline void kio_nap(unsigned us)
    {
    #ifdef _WIN32
        Sleep((us + 999) / 1000);
    #else
        struct timespec span = {0, (long)us * 1000};
        (void)nanosleep(&span, NULL);
    #endif
    }

    /* Ask for read-ahead of a range of a file. */
    static inline void kio_advise_soon(int fd, uint64_t offset, uint64_t nbytes)
    {
    #if defined(POSIX_FADV_WILLNEED)
        (void)posix_fadvise(fd, (off_t)offset, (off_t)nbytes, POSIX_FADV_WILLNEED);
    #else
        (void)fd; (void)offset; (void)nbytes;
    #endif
    }

    /* Whether a byte of a file can be read without waiting; 1 where the system cannot tell. */
    static inline int kio_is_cached(int fd, uint64_t offset)
    {
    #if defined(__linux__) && defined(RWF_NOWAIT)
        char byte;
        struct iovec iov = { &byte, 1 };
        int saved = errno;
        int cached = preadv2(fd, &iov, 1, (off_t)offset, RWF_NOWAIT) >= 0 || errno != EAGAIN;
        errno = saved;
        return cached;
    #else
        (void)fd; (void)offset;
        return 1;
    #endif
    }

    /* Ask for write-back of a range of a file to begin. */
    static inline void kio_advise_written(int fd, uint64_t offset, uint64_t nbytes)
    {
    #if defined(SYNC_FILE_RANGE_WRITE)
        int saved = errno;
        (void)sync_file_range(fd, (off_t)offset, (off_t)nbytes, SYNC_FILE_RANGE_WRITE);
        errno = saved;
    #else
        (void)fd; (void)offset; (void)nbytes;
    #endif
    }
    #endif /* KIO_PLATFORM_H */
    """
    int64_t kio_pread(int fd, void *dst, size_t nbytes, uint64_t offset) noexcept nogil
    void *kio_reserve(size_t nbytes) noexcept nogil
    void kio_release(void *p, size_t nbytes) noexcept nogil
    int kio_discard(void *p, size_t nbytes) noexcept nogil
    void kio_trim() noexcept nogil
    void kio_advise_huge(void *p, size_t nbytes) noexcept nogil
    void kio_advise_small(void *p, size_t nbytes) noexcept nogil
    void kio_populate(void *p, size_t nbytes) noexcept nogil
    int64_t kio_now_ns() noexcept nogil
    void kio_nap(unsigned us) noexcept nogil
    void kio_advise_soon(int fd, uint64_t offset, uint64_t nbytes) noexcept nogil
    int kio_is_cached(int fd, uint64_t offset) noexcept nogil
    int64_t kio_pwrite(int fd, const void *src, size_t nbytes, uint64_t offset) noexcept nogil
    int kio_allocate(int fd, uint64_t nbytes) noexcept nogil
    int kio_lock(int fd) noexcept nogil
    int kio_exchange(const char *a, const char *b) noexcept nogil
    void kio_advise_written(int fd, uint64_t offset, uint64_t nbytes) noexcept nogil
