/*
 * arm/crc_fold_impl.h - CRC by carry-less multiplication; included by crc32.c and crc32c.c
 *
 * As x86/crc_fold_impl.h, with eight lanes side by side.  CRC_WORD and CRC_BYTE
 * are the includer's names of the CRC instructions, which take the ends.
 *
 * Spec: Arm A-profile reference manual, PMULL, PMULL2, CRC32*, CRC32C*.
 */
#include <arm_acle.h>
#include <arm_neon.h>

#define ARM_CRC KIO_TARGET(KIO_ARM_FEATURES_CRC)
#define ARM_PMULL KIO_TARGET(KIO_ARM_FEATURES_PMULL)

ARM_CRC KIO_INLINE uint32_t crc_words(uint32_t state, const uint8_t *p, size_t nbytes)
{
	for (; nbytes >= 8; p += 8, nbytes -= 8)
		state = CRC_WORD(state, kio_load64(p));
	while (nbytes--)
		state = CRC_BYTE(state, *p++);
	return state;
}

ARM_CRC KIO_INLINE uint32_t crc_words_copy(uint32_t state, uint8_t *dst, const uint8_t *src,
					   size_t nbytes)
{
	for (; nbytes >= 8; dst += 8, src += 8, nbytes -= 8) {
		uint64_t word = kio_load64(src);

		kio_store64(dst, word);
		state = CRC_WORD(state, word);
	}
	for (; nbytes > 0; nbytes--) {
		uint8_t byte = *src++;

		*dst++ = byte;
		state = CRC_BYTE(state, byte);
	}
	return state;
}

ARM_PMULL KIO_INLINE uint8x16_t fold_lane(uint8x16_t acc, poly64x2_t by, uint8x16_t next)
{
	poly64x2_t a = vreinterpretq_p64_u8(acc);
	uint8x16_t low = vreinterpretq_u8_p128(vmull_p64(vgetq_lane_p64(a, 0), vgetq_lane_p64(by, 0)));
	uint8x16_t high = vreinterpretq_u8_p128(vmull_high_p64(a, by));

	return veorq_u8(veorq_u8(low, high), next);
}

ARM_PMULL KIO_INLINE poly64x2_t constant_lane(const uint64_t by[2])
{
	return vreinterpretq_p64_u64(vld1q_u64(by));
}

ARM_PMULL KIO_INLINE uint32_t crc_pmull(const struct crc_fold *f, uint32_t state, int copy,
					uint8_t *dst, const uint8_t *src, size_t nbytes)
{
	uint8x16_t a[8];
	uint8_t lane[16];

	if (nbytes >= 256) {
		const poly64x2_t by1024 = constant_lane(f->by1024), by128 = constant_lane(f->by128);
		const uint32x4_t first = { state, 0, 0, 0 };

		for (int i = 0; i < 8; i++) {
			a[i] = vld1q_u8(src + 16 * i);
			if (copy)
				vst1q_u8(dst + 16 * i, a[i]);
		}
		a[0] = veorq_u8(a[0], vreinterpretq_u8_u32(first));
		src += 128;
		dst += copy ? 128 : 0;
		nbytes -= 128;
		for (; nbytes >= 128; src += 128, nbytes -= 128) {
			for (int i = 0; i < 8; i++) {
				uint8x16_t next = vld1q_u8(src + 16 * i);

				if (copy)
					vst1q_u8(dst + 16 * i, next);
				a[i] = fold_lane(a[i], by1024, next);
			}
			dst += copy ? 128 : 0;
		}
		for (int i = 1; i < 8; i++)
			a[0] = fold_lane(a[0], by128, a[i]);
		vst1q_u8(lane, a[0]);
		state = crc_words(0, lane, 16);
	}
	return copy ? crc_words_copy(state, dst, src, nbytes) : crc_words(state, src, nbytes);
}

ARM_CRC static uint32_t armcrc(uint32_t crc, const void *src, size_t nbytes)
{
	return ~crc_words(~crc, src, nbytes);
}

ARM_CRC static uint32_t armcrc_copy(uint32_t crc, void *dst, const void *src, size_t nbytes)
{
	return ~crc_words_copy(~crc, dst, src, nbytes);
}

ARM_PMULL static uint32_t pmull(uint32_t crc, const void *src, size_t nbytes)
{
	return ~crc_pmull(&fold, ~crc, 0, NULL, src, nbytes);
}

ARM_PMULL static uint32_t pmull_copy(uint32_t crc, void *dst, const void *src, size_t nbytes)
{
	return ~crc_pmull(&fold, ~crc, 1, dst, src, nbytes);
}
