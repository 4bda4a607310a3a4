/*
 * LD_PRELOAD shim: count the file system calls that a save makes below one folder, and
 * at the n-th of them kill the process or make the call fail.
 *
 *   cc -shared -fPIC -O1 shim.c -o shim.so -ldl
 *
 * The driver calls crash_arm() through ctypes just before the save.  A call counts when
 * its path begins with the folder's, or its descriptor was opened from there, and when the
 * fault asked for can happen to it (the mask at each call).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

enum fault { KILL_BEFORE, KILL_AFTER, FAIL, SHORT_WRITE };
enum action { PASS, FAILED, AFTER, SHORT };

/* What can happen to a call, besides the process being killed at it. */
enum mask { KILL_ONLY = 0, ANY = 1, SPACE = 2, INTERRUPT = 4, SHORTEN = 8 };

/* A system that lacks something, for the whole save. */
enum lack { NO_DIRECT_WRITE = 1, NO_DIRECT_OPEN = 2, NO_LOCK = 4, NO_FALLOCATE = 8, NO_EXCHANGE = 16,
	    NO_LINK = 32 };

enum { NFDS = 4096 };

static char root[4096];
static size_t nroot;
static atomic_int armed;
static atomic_long counter;
static long at;
static int fault, number, mask, lacking;
static char fired[64];
static unsigned char mine[NFDS], direct[NFDS];

void crash_arm(const char *folder, long n, int fault_, int errno_, int mask_, int lacking_)
{
	snprintf(root, sizeof root, "%s", folder);
	nroot = strlen(root);
	at = n;
	fault = fault_;
	number = errno_;
	mask = mask_;
	lacking = lacking_;
	fired[0] = 0;
	atomic_store(&counter, 0);
	atomic_store(&armed, 1);
}

/* Returns how many calls were counted. */
long crash_disarm(void)
{
	atomic_store(&armed, 0);
	return atomic_load(&counter);
}

/* The call at which the fault was injected, or "". */
const char *crash_fired(void)
{
	return fired;
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static enum action step(const char *call, int can)
{
	if (!atomic_load(&armed))
		return PASS;
	if ((fault == FAIL || fault == SHORT_WRITE) && !(can & mask))
		return PASS;
	if (atomic_fetch_add(&counter, 1) + 1 != at)
		return PASS;
	snprintf(fired, sizeof fired, "%s", call);
	if (fault == KILL_BEFORE)
		die();
	if (fault == KILL_AFTER)
		return AFTER;
	if (fault == SHORT_WRITE)
		return SHORT;
	errno = number;
	return FAILED;
}

static int below(const char *path)
{
	return path && nroot && !strncmp(path, root, nroot);
}

static int ours(int fd)
{
	return fd >= 0 && fd < NFDS && mine[fd];
}

static int near(int dirfd, const char *path)
{
	return path && path[0] == '/' ? below(path) : ours(dirfd);
}

static int lacks(int what)
{
	return atomic_load(&armed) && (lacking & what);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define CALL(relevant, call, can, failed, expression)                          \
	do {                                                                   \
		enum action a_ = (relevant) ? step(call, can) : PASS;          \
		if (a_ == FAILED)                                              \
			return failed;                                         \
		__typeof__(expression) r_ = (expression);                      \
		if (a_ == AFTER)                                               \
			die();                                                 \
		return r_;                                                     \
	} while (0)

/* ---- descriptors */

static int opened(int fd, int relevant, int flags)
{
	if (fd >= 0 && fd < NFDS) {
		mine[fd] = (unsigned char)relevant;
		direct[fd] = relevant && (flags & O_DIRECT);
	}
	return fd;
}

#define OPEN(name, at_args, pass, is_relevant)                                 \
	int name at_args                                                       \
	{                                                                      \
		mode_t mode = 0;                                               \
		if (flags & (O_CREAT | __O_TMPFILE)) {                         \
			va_list list;                                          \
			va_start(list, flags);                                 \
			mode = va_arg(list, mode_t);                           \
			va_end(list);                                          \
		}                                                              \
		int relevant = is_relevant;                                    \
		if (relevant && (flags & O_DIRECT) && lacks(NO_DIRECT_OPEN)) { \
			errno = EINVAL;                                        \
			return -1;                                             \
		}                                                              \
		CALL(relevant, "open", ANY | INTERRUPT | (flags & O_CREAT ? SPACE : 0), -1, \
		     opened(REAL(name) pass, relevant, flags));                \
	}

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), below(path))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), below(path))
OPEN(openat, (int dirfd, const char *path, int flags, ...), (dirfd, path, flags, mode), near(dirfd, path))
OPEN(openat64, (int dirfd, const char *path, int flags, ...), (dirfd, path, flags, mode), near(dirfd, path))

int close(int fd)
{
	int relevant = ours(fd);
	if (relevant)
		mine[fd] = direct[fd] = 0;
	CALL(relevant, "close", KILL_ONLY, -1, REAL(close)(fd));
}

int fcntl64(int fd, int command, ...)
{
	va_list list;
	va_start(list, command);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (command == F_OFD_SETLK && ours(fd) && lacks(NO_LOCK)) {
		errno = ENOLCK;
		return -1;
	}
	return REAL(fcntl64)(fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
	va_list list;
	va_start(list, command);
	void *argument = va_arg(list, void *);
	va_end(list);
	return fcntl64(fd, command, argument);
}

/* ---- bytes */

#define WRITE(name, arguments, pass)                                           \
	ssize_t name arguments                                                 \
	{                                                                      \
		if (ours(fd) && direct[fd] && lacks(NO_DIRECT_WRITE)) {        \
			errno = EINVAL;                                        \
			return -1;                                             \
		}                                                              \
		enum action a = !ours(fd) ? PASS : step(#name, ANY | SPACE | INTERRUPT | (n > 1 ? SHORTEN : 0)); \
		if (a == FAILED)                                               \
			return -1;                                             \
		if (a == SHORT) {                                              \
			n /= 2;                                                \
			if (direct[fd])                                        \
				n = n / 4096 * 4096;                           \
		}                                                              \
		ssize_t r = REAL(name) pass;                                   \
		if (a == AFTER)                                                \
			die();                                                 \
		return r;                                                      \
	}

WRITE(write, (int fd, const void *p, size_t n), (fd, p, n))
WRITE(pwrite, (int fd, const void *p, size_t n, off_t offset), (fd, p, n, offset))
WRITE(pwrite64, (int fd, const void *p, size_t n, off64_t offset), (fd, p, n, offset))

#define ALLOCATE(name, type)                                                   \
	int name(int fd, int mode, type offset, type n)                        \
	{                                                                      \
		if (ours(fd) && lacks(NO_FALLOCATE)) {                         \
			errno = EOPNOTSUPP;                                    \
			return -1;                                             \
		}                                                              \
		CALL(ours(fd), "fallocate", ANY | SPACE | INTERRUPT, -1, REAL(name)(fd, mode, offset, n)); \
	}

ALLOCATE(fallocate, off_t)
ALLOCATE(fallocate64, off64_t)

int ftruncate(int fd, off_t n)
{
	CALL(ours(fd), "ftruncate", ANY | SPACE | INTERRUPT, -1, REAL(ftruncate)(fd, n));
}

int ftruncate64(int fd, off64_t n)
{
	CALL(ours(fd), "ftruncate", ANY | SPACE | INTERRUPT, -1, REAL(ftruncate64)(fd, n));
}

int fsync(int fd)
{
	CALL(ours(fd), "fsync", ANY | SPACE | INTERRUPT, -1, REAL(fsync)(fd));
}

int fdatasync(int fd)
{
	CALL(ours(fd), "fdatasync", ANY | SPACE | INTERRUPT, -1, REAL(fdatasync)(fd));
}

/* ---- names */

int rename(const char *a, const char *b)
{
	CALL(below(a) || below(b), "rename", ANY | SPACE, -1, REAL(rename)(a, b));
}

int renameat(int da, const char *a, int db, const char *b)
{
	CALL(near(da, a) || near(db, b), "rename", ANY | SPACE, -1, REAL(renameat)(da, a, db, b));
}

int renameat2(int da, const char *a, int db, const char *b, unsigned flags)
{
	if (lacks(NO_EXCHANGE)) {
		errno = EINVAL;
		return -1;
	}
	CALL(near(da, a) || near(db, b), "rename", ANY | SPACE, -1, REAL(renameat2)(da, a, db, b, flags));
}

int link(const char *a, const char *b)
{
	if (lacks(NO_LINK)) {
		errno = EPERM;
		return -1;
	}
	CALL(below(b), "link", ANY | SPACE, -1, REAL(link)(a, b));
}

int linkat(int da, const char *a, int db, const char *b, int flags)
{
	if (lacks(NO_LINK)) {
		errno = EPERM;
		return -1;
	}
	CALL(near(db, b), "link", ANY | SPACE, -1, REAL(linkat)(da, a, db, b, flags));
}

int symlink(const char *a, const char *b)
{
	CALL(below(b), "symlink", ANY | SPACE, -1, REAL(symlink)(a, b));
}

int unlink(const char *a)
{
	CALL(below(a), "unlink", ANY, -1, REAL(unlink)(a));
}

int unlinkat(int dirfd, const char *a, int flags)
{
	CALL(near(dirfd, a), "unlink", ANY, -1, REAL(unlinkat)(dirfd, a, flags));
}

int rmdir(const char *a)
{
	CALL(below(a), "rmdir", ANY, -1, REAL(rmdir)(a));
}

int mkdir(const char *a, mode_t mode)
{
	CALL(below(a), "mkdir", ANY | SPACE, -1, REAL(mkdir)(a, mode));
}

int mkdirat(int dirfd, const char *a, mode_t mode)
{
	CALL(near(dirfd, a), "mkdir", ANY | SPACE, -1, REAL(mkdirat)(dirfd, a, mode));
}

/* ---- who may read */

int fchmod(int fd, mode_t mode)
{
	CALL(ours(fd), "fchmod", ANY, -1, REAL(fchmod)(fd, mode));
}

int chmod(const char *a, mode_t mode)
{
	CALL(below(a), "chmod", ANY, -1, REAL(chmod)(a, mode));
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	CALL(ours(fd), "fchown", ANY, -1, REAL(fchown)(fd, uid, gid));
}

int chown(const char *a, uid_t uid, gid_t gid)
{
	CALL(below(a), "chown", ANY, -1, REAL(chown)(a, uid, gid));
}

int fsetxattr(int fd, const char *name, const void *value, size_t n, int flags)
{
	CALL(ours(fd), "fsetxattr", ANY | SPACE, -1, REAL(fsetxattr)(fd, name, value, n, flags));
}
