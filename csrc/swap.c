/* swap.c - the other byte order */
#include "kio.h"
#include "dispatch.h"

/*
 * Plain loops: the compiler turns each into byte shuffles of the widest
 * registers its target allows.  Loads come before stores of the same element,
 * so dst may be src.
 */
#define SWAP_LOOPS(name, attributes)                                          \
	attributes static void name(void *dst, const void *src, size_t nelems, \
				    size_t itemsize)                          \
	{                                                                     \
		uint8_t *out = dst;                                           \
		const uint8_t *in = src;                                      \
									      \
		if (itemsize == 2)                                            \
			for (size_t i = 0; i < nelems; i++)                   \
				kio_store16(out + 2 * i, kio_swap16(kio_load16(in + 2 * i))); \
		else if (itemsize == 4)                                       \
			for (size_t i = 0; i < nelems; i++)                   \
				kio_store32(out + 4 * i, kio_swap32(kio_load32(in + 4 * i))); \
		else if (itemsize == 8)                                       \
			for (size_t i = 0; i < nelems; i++)                   \
				kio_store64(out + 8 * i, kio_swap64(kio_load64(in + 8 * i))); \
		else if (nelems && itemsize && out != in)                     \
			memcpy(out, in, nelems * itemsize);                   \
	}

SWAP_LOOPS(portable, KIO_NO_TARGET)
#if KIO_SIMD_X86
SWAP_LOOPS(ssse3, KIO_TARGET("ssse3"))
SWAP_LOOPS(avx2, KIO_TARGET("avx2"))
#endif

const struct kio_swap_impl kio_swap_impls[] = {
#if KIO_SIMD_X86
	{ "avx2", kio_runs_avx2, avx2 },
	{ "ssse3", kio_runs_ssse3, ssse3 },
#endif
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH_VOID(swap, (void *dst, const void *src, size_t nelems, size_t itemsize),
		  (dst, src, nelems, itemsize))
