/*
 * cpu.h - which instruction sets run here
 *
 * Internal to csrc: the runs_here column of the implementation tables.  Each
 * returns 1 when both the CPU and the operating system (which must save the
 * wide registers) allow the set, else 0.
 */
#ifndef KIO_CPU_H
#define KIO_CPU_H

int kio_runs_always(void);

/* x86-64 */
int kio_runs_ssse3(void);
int kio_runs_sse42(void);
int kio_runs_pclmul(void);     /* PCLMULQDQ and SSE4.1 */
int kio_runs_avx2(void);
int kio_runs_bmi2(void);       /* BMI1, BMI2 */
int kio_runs_vpclmul(void);    /* VPCLMULQDQ and AVX2 */
int kio_runs_vpclmul512(void); /* VPCLMULQDQ and AVX-512 F, BW, VL */
int kio_runs_avx512(void);     /* AVX-512 F, BW, VL */

/* aarch64; Advanced SIMD is always there */
int kio_runs_arm_crc32(void);
int kio_runs_arm_pmull(void); /* PMULL and CRC32 */

#endif /* KIO_CPU_H */
