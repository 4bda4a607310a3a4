/* x86/shuffle_impl.h - 16 bytes at a time, SSE2, which every x86-64 has; included by shuffle.c */
#include <emmintrin.h>

#define LANES_NAME "sse2"
typedef __m128i lanes;

KIO_INLINE lanes load_lanes(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

KIO_INLINE void store_lanes(uint8_t *p, lanes v) { _mm_storeu_si128((__m128i *)(void *)p, v); }

KIO_INLINE lanes zip_low(lanes a, lanes b) { return _mm_unpacklo_epi8(a, b); }

KIO_INLINE lanes zip_high(lanes a, lanes b) { return _mm_unpackhi_epi8(a, b); }
