/* arm/shuffle_impl.h - 16 bytes at a time, which every aarch64 has; included by shuffle.c */
#include <arm_neon.h>

#define LANES_NAME "neon"
typedef uint8x16_t lanes;

KIO_INLINE lanes load_lanes(const uint8_t *p) { return vld1q_u8(p); }

KIO_INLINE void store_lanes(uint8_t *p, lanes v) { vst1q_u8(p, v); }

KIO_INLINE lanes zip_low(lanes a, lanes b) { return vzip1q_u8(a, b); }

KIO_INLINE lanes zip_high(lanes a, lanes b) { return vzip2q_u8(a, b); }
