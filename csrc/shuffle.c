/*
 * shuffle.c - HDF5's shuffle filter, both ways
 *
 * Spec: HDF5 file format specification, filter 2; H5Zshuffle.c for the tail.
 *
 *     elements   a0 a1 a2 a3 | b0 b1 b2 b3 | c0 c1 c2 c3 | tail
 *     planes     a0 b0 c0 | a1 b1 c1 | a2 b2 c2 | a3 b3 c3 | tail
 */
#include "kio.h"
#include "dispatch.h"

static void copy(void *dst, const void *src, size_t nbytes)
{
	if (nbytes)
		memcpy(dst, src, nbytes);
}

static void shuffle_portable(void *dst, const void *src, size_t nbytes, size_t itemsize)
{
	size_t nelems = itemsize > 1 ? nbytes / itemsize : 0;
	uint8_t *out = dst;
	const uint8_t *in = src;

	for (size_t b = 0; nelems && b < itemsize; b++)
		for (size_t i = 0; i < nelems; i++)
			out[b * nelems + i] = in[i * itemsize + b];
	if (nbytes > nelems * itemsize)
		copy(out + nelems * itemsize, in + nelems * itemsize, nbytes - nelems * itemsize);
}

static void unshuffle_portable(void *dst, const void *src, size_t nbytes, size_t itemsize)
{
	size_t nelems = itemsize > 1 ? nbytes / itemsize : 0;
	uint8_t *out = dst;
	const uint8_t *in = src;

	for (size_t b = 0; nelems && b < itemsize; b++)
		for (size_t i = 0; i < nelems; i++)
			out[i * itemsize + b] = in[b * nelems + i];
	if (nbytes > nelems * itemsize)
		copy(out + nelems * itemsize, in + nelems * itemsize, nbytes - nelems * itemsize);
}

const struct kio_shuffle_impl kio_shuffle_impls[] = {
	{ "portable", kio_runs_always, shuffle_portable },
};
KIO_DISPATCH_VOID(shuffle, (void *dst, const void *src, size_t nbytes, size_t itemsize),
		  (dst, src, nbytes, itemsize))

const struct kio_unshuffle_impl kio_unshuffle_impls[] = {
	{ "portable", kio_runs_always, unshuffle_portable },
};
KIO_DISPATCH_VOID(unshuffle, (void *dst, const void *src, size_t nbytes, size_t itemsize),
		  (dst, src, nbytes, itemsize))
