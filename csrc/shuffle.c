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

/* So many elements at a time, so that the lines of all planes stay in the cache. */
enum { TILE = 1024 };

/* Elements from `i` on; element i's byte b lies at plane[b * nelems + i]. */
KIO_INLINE void shuffle_plain(uint8_t *KIO_RESTRICT dst, const uint8_t *KIO_RESTRICT src, size_t i,
			      size_t nelems, size_t itemsize)
{
	for (size_t tile = i; tile < nelems; tile += TILE) {
		size_t end = nelems - tile < TILE ? nelems : tile + TILE;

		for (size_t b = 0; b < itemsize; b++)
			for (i = tile; i < end; i++)
				dst[b * nelems + i] = src[i * itemsize + b];
	}
}

KIO_INLINE void unshuffle_plain(uint8_t *KIO_RESTRICT dst, const uint8_t *KIO_RESTRICT src, size_t i,
				size_t nelems, size_t itemsize)
{
	for (size_t tile = i; tile < nelems; tile += TILE) {
		size_t end = nelems - tile < TILE ? nelems : tile + TILE;

		for (size_t b = 0; b < itemsize; b++)
			for (i = tile; i < end; i++)
				dst[i * itemsize + b] = src[b * nelems + i];
	}
}

/* The nelems * itemsize bytes are done; the rest fills no element. */
KIO_INLINE void copy_tail(void *dst, const void *src, size_t nbytes, size_t done)
{
	if (nbytes > done)
		memcpy((uint8_t *)dst + done, (const uint8_t *)src + done, nbytes - done);
}

static void shuffle_portable(void *dst, const void *src, size_t nbytes, size_t itemsize)
{
	size_t nelems = itemsize > 1 ? nbytes / itemsize : 0;

	shuffle_plain(dst, src, 0, nelems, itemsize);
	copy_tail(dst, src, nbytes, nelems * itemsize);
}

static void unshuffle_portable(void *dst, const void *src, size_t nbytes, size_t itemsize)
{
	size_t nelems = itemsize > 1 ? nbytes / itemsize : 0;

	unshuffle_plain(dst, src, 0, nelems, itemsize);
	copy_tail(dst, src, nbytes, nelems * itemsize);
}

#if KIO_SIMD_X86
#  include "x86/shuffle_impl.h"
#elif KIO_SIMD_ARM
#  include "arm/shuffle_impl.h"
#endif

#if KIO_SIMD_X86 || KIO_SIMD_ARM
/*
 * 16 elements of s = 2, 4, 8 or 16 bytes are s registers, 16 s bytes, byte b of
 * element e at index e s + b.  Interleaving the first half of them with the
 * second sends index x to 2 x, less 16 s - 1 if that is too large: it rotates
 * the bits of the index to the left by one.  Rotated by four, the number of
 * e's bits, the index has become 16 b + e: shuffled.  Rotated by log2(s) times
 * it goes the other way.
 */
KIO_INLINE void rotate_index(lanes *v, size_t nregs, int times)
{
	lanes t[16];

	for (; times > 0; times--) {
		for (size_t k = 0; k < nregs / 2; k++) {
			t[2 * k] = zip_low(v[k], v[k + nregs / 2]);
			t[2 * k + 1] = zip_high(v[k], v[k + nregs / 2]);
		}
		for (size_t k = 0; k < nregs; k++)
			v[k] = t[k];
	}
}

KIO_INLINE void shuffle_lanes(uint8_t *dst, const uint8_t *src, size_t nelems, size_t itemsize)
{
	size_t i = 0;
	lanes v[16];

	for (; nelems - i >= 16; i += 16) {
		for (size_t k = 0; k < itemsize; k++)
			v[k] = load_lanes(src + i * itemsize + 16 * k);
		rotate_index(v, itemsize, 4);
		for (size_t k = 0; k < itemsize; k++)
			store_lanes(dst + k * nelems + i, v[k]);
	}
	shuffle_plain(dst, src, i, nelems, itemsize);
}

KIO_INLINE void unshuffle_lanes(uint8_t *dst, const uint8_t *src, size_t nelems, size_t itemsize,
				int log2_itemsize)
{
	size_t i = 0;
	lanes v[16];

	for (; nelems - i >= 16; i += 16) {
		for (size_t k = 0; k < itemsize; k++)
			v[k] = load_lanes(src + k * nelems + i);
		rotate_index(v, itemsize, log2_itemsize);
		for (size_t k = 0; k < itemsize; k++)
			store_lanes(dst + i * itemsize + 16 * k, v[k]);
	}
	unshuffle_plain(dst, src, i, nelems, itemsize);
}

static void shuffle_simd(void *dst, const void *src, size_t nbytes, size_t itemsize)
{
	size_t nelems = itemsize > 1 ? nbytes / itemsize : 0;

	switch (itemsize) {
	case 2: shuffle_lanes(dst, src, nelems, 2); break;
	case 4: shuffle_lanes(dst, src, nelems, 4); break;
	case 8: shuffle_lanes(dst, src, nelems, 8); break;
	case 16: shuffle_lanes(dst, src, nelems, 16); break;
	default: shuffle_plain(dst, src, 0, nelems, itemsize);
	}
	copy_tail(dst, src, nbytes, nelems * itemsize);
}

static void unshuffle_simd(void *dst, const void *src, size_t nbytes, size_t itemsize)
{
	size_t nelems = itemsize > 1 ? nbytes / itemsize : 0;

	switch (itemsize) {
	case 2: unshuffle_lanes(dst, src, nelems, 2, 1); break;
	case 4: unshuffle_lanes(dst, src, nelems, 4, 2); break;
	case 8: unshuffle_lanes(dst, src, nelems, 8, 3); break;
	case 16: unshuffle_lanes(dst, src, nelems, 16, 4); break;
	default: unshuffle_plain(dst, src, 0, nelems, itemsize);
	}
	copy_tail(dst, src, nbytes, nelems * itemsize);
}
#endif

const struct kio_shuffle_impl kio_shuffle_impls[] = {
#if KIO_SIMD_X86 || KIO_SIMD_ARM
	{ LANES_NAME, kio_runs_always, shuffle_simd },
#endif
	{ "portable", kio_runs_always, shuffle_portable },
};
KIO_DISPATCH_VOID(shuffle, (void *dst, const void *src, size_t nbytes, size_t itemsize),
		  (dst, src, nbytes, itemsize))

const struct kio_unshuffle_impl kio_unshuffle_impls[] = {
#if KIO_SIMD_X86 || KIO_SIMD_ARM
	{ LANES_NAME, kio_runs_always, unshuffle_simd },
#endif
	{ "portable", kio_runs_always, unshuffle_portable },
};
KIO_DISPATCH_VOID(unshuffle, (void *dst, const void *src, size_t nbytes, size_t itemsize),
		  (dst, src, nbytes, itemsize))
