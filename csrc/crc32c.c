/*
 * crc32c.c - CRC-32C (Castagnoli), polynomial 0x82F63B78 reflected
 *
 * Used by: tensor bundle (masked), SSTable blocks, Orbax/OCDBT manifests.
 * Spec: RFC 3720 appendix B.4 gives test vectors.
 */
#include "kio.h"
#include "crc_impl.h"
#include "dispatch.h"

enum { PERIOD = 31 }; /* (x + 1) divides the polynomial, so already x^(2^31) = x */
#define POLY 0x82F63B78u

static const uint32_t tables[16][256] = {
	CRC_ROW(0xF26B8303, 0xE13B70F7, 0xC79A971F, 0x8AD958CF,
		0x105EC76F, 0x20BD8EDE, 0x417B1DBC, 0x82F63B78),
	CRC_ROW(0x13A29877, 0x274530EE, 0x4E8A61DC, 0x9D14C3B8,
		0x3FC5F181, 0x7F8BE302, 0xFF17C604, 0xFBC3FAF9),
	CRC_ROW(0xA541927E, 0x4F6F520D, 0x9EDEA41A, 0x38513EC5,
		0x70A27D8A, 0xE144FB14, 0xC76580D9, 0x8B277743),
	CRC_ROW(0xDD45AAB8, 0xBF672381, 0x7B2231F3, 0xF64463E6,
		0xE964B13D, 0xD725148B, 0xABA65FE7, 0x52A0C93F),
	CRC_ROW(0x38116FAC, 0x7022DF58, 0xE045BEB0, 0xC5670B91,
		0x8F2261D3, 0x1BA8B557, 0x37516AAE, 0x6EA2D55C),
	CRC_ROW(0xEF306B19, 0xDB8CA0C3, 0xB2F53777, 0x6006181F,
		0xC00C303E, 0x85F4168D, 0x0E045BEB, 0x1C08B7D6),
	CRC_ROW(0x68032CC8, 0xD0065990, 0xA5E0C5D1, 0x4E2DFD53,
		0x9C5BFAA6, 0x3D5B83BD, 0x7AB7077A, 0xF56E0EF4),
	CRC_ROW(0x493C7D27, 0x9278FA4E, 0x211D826D, 0x423B04DA,
		0x847609B4, 0x0D006599, 0x1A00CB32, 0x34019664),
	CRC_ROW(0xF43ED648, 0xED91DA61, 0xDECFC233, 0xB873F297,
		0x750B93DF, 0xEA1727BE, 0xD1C2398D, 0xA66805EB),
	CRC_ROW(0xCB567BA5, 0x934081BB, 0x236D7587, 0x46DAEB0E,
		0x8DB5D61C, 0x1E87DAC9, 0x3D0FB592, 0x7A1F6B24),
	CRC_ROW(0x9771F7C1, 0x2B0F9973, 0x561F32E6, 0xAC3E65CC,
		0x5D90BD69, 0xBB217AD2, 0x73AE8355, 0xE75D06AA),
	CRC_ROW(0x3171D430, 0x62E3A860, 0xC5C750C0, 0x8E62D771,
		0x1929D813, 0x3253B026, 0x64A7604C, 0xC94EC098),
	CRC_ROW(0x30D23865, 0x61A470CA, 0xC348E194, 0x837DB5D9,
		0x03171D43, 0x062E3A86, 0x0C5C750C, 0x18B8EA18),
	CRC_ROW(0x54075546, 0xA80EAA8C, 0x55F123E9, 0xABE247D2,
		0x5228F955, 0xA451F2AA, 0x4D4F93A5, 0x9A9F274A),
	CRC_ROW(0x678EFD01, 0xCF1DFA02, 0x9BD782F5, 0x3243731B,
		0x6486E636, 0xC90DCC6C, 0x97F7EE29, 0x2A03AAA3),
	CRC_ROW(0xF20C0DFE, 0xE1F46D0D, 0xC604ACEB, 0x89E52F27,
		0x162628BF, 0x2C4C517E, 0x5898A2FC, 0xB13145F8),
};

/* x^(2^k) */
static const uint32_t powers[PERIOD] = {
	0x40000000, 0x20000000, 0x08000000, 0x00800000, 0x00008000, 0x82F63B78,
	0x6EA2D55C, 0x18B8EA18, 0x510AC59A, 0xB82BE955, 0xB8FDB1E7, 0x88E56F72,
	0x74C360A4, 0xE4172B16, 0x0D65762A, 0x35D73A62, 0x28461564, 0xBF455269,
	0xE2EA32DC, 0xFE7740E6, 0xF946610B, 0x3C204F8F, 0x538586E3, 0x59726915,
	0x734D5309, 0xBC1AC763, 0x7D0722CC, 0xD289CABE, 0xE94CA9BC, 0x05B74F3F,
	0xA51E1F42,
};

#if KIO_SIMD_X86 || KIO_SIMD_ARM_CRC
static const struct crc_fold fold = {
	.by128 = { 0x3743F7BD00000000u, 0x3171D43000000000u },
	.by256 = { 0x33CCBBBC00000000u, 0xA2158B3400000000u },
	.by512 = { 0x1C19243B00000000u, 0x75BBA45B00000000u },
	.by1024 = { 0x6577B24500000000u, 0x7417153F00000000u },
	.by2048 = { 0xE9A5D8BE00000000u, 0x1426A81500000000u },
};
#endif

uint32_t kio_crc32c_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2)
{
	return crc_combine(tables, POLY, powers, PERIOD, crc1, crc2, nbytes2);
}

static uint32_t portable(uint32_t crc, const void *src, size_t nbytes)
{
	return ~crc_tables(tables, ~crc, src, nbytes);
}

static uint32_t portable_copy(uint32_t crc, void *dst, const void *src, size_t nbytes)
{
	return ~crc_tables_copy(tables, ~crc, dst, src, nbytes);
}

#if KIO_SIMD_X86
#  include "x86/crc_fold_impl.h"
#  include "x86/crc32c_impl.h"
#elif KIO_SIMD_ARM_CRC
#  define CRC_WORD __crc32cd
#  define CRC_BYTE __crc32cb
#  include "arm/crc_fold_impl.h"
#endif

const struct kio_crc32c_impl kio_crc32c_impls[] = {
#if KIO_SIMD_X86
	{ "vpclmul512", kio_runs_vpclmul512, vpclmul512 },
	{ "vpclmul", kio_runs_vpclmul, vpclmul },
	{ "pclmul", kio_runs_pclmul, pclmul },
	{ "sse42", kio_runs_sse42, sse42 },
#elif KIO_SIMD_ARM_CRC
	{ "pmull", kio_runs_arm_pmull, pmull },
	{ "armcrc", kio_runs_arm_crc32, armcrc },
#endif
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH(crc32c, uint32_t, (uint32_t crc, const void *src, size_t nbytes), (crc, src, nbytes))

const struct kio_crc32c_copy_impl kio_crc32c_copy_impls[] = {
#if KIO_SIMD_X86
	{ "vpclmul512", kio_runs_vpclmul512, vpclmul512_copy },
	{ "vpclmul", kio_runs_vpclmul, vpclmul_copy },
	{ "pclmul", kio_runs_pclmul, pclmul_copy },
#elif KIO_SIMD_ARM_CRC
	{ "pmull", kio_runs_arm_pmull, pmull_copy },
	{ "armcrc", kio_runs_arm_crc32, armcrc_copy },
#endif
	{ "portable", kio_runs_always, portable_copy },
};
KIO_DISPATCH(crc32c_copy, uint32_t, (uint32_t crc, void *dst, const void *src, size_t nbytes),
	     (crc, dst, src, nbytes))
