/*
 * x86/crc32c_impl.h - CRC-32C by the instruction SSE4.2 has for it; included by crc32c.c
 *
 * For CPUs without PCLMULQDQ only, so one chain of them is enough.
 */
#include <nmmintrin.h>

KIO_TARGET(KIO_X86_FEATURES_CRC32) static uint32_t sse42(uint32_t crc, const void *src, size_t nbytes)
{
	const uint8_t *p = src;
	uint64_t state = (uint32_t)~crc;

	for (; nbytes >= 8; p += 8, nbytes -= 8)
		state = _mm_crc32_u64(state, kio_load64(p));
	while (nbytes--)
		state = _mm_crc32_u8((uint32_t)state, *p++);
	return ~(uint32_t)state;
}
