/*
 * crc32.c - CRC-32 of zip and gzip, polynomial 0xEDB88320 reflected
 *
 * Used by: zip members (.keras, .npz), fused with the copy of every payload byte.
 * Spec: ISO 3309; RFC 1952 section 8.
 */
#include "kio.h"
#include "crc_impl.h"
#include "dispatch.h"

enum { PERIOD = 32 }; /* the polynomial is primitive, so x^(2^32) = x */
#define POLY 0xEDB88320u

static const uint32_t tables[16][256] = {
	CRC_ROW(0x77073096, 0xEE0E612C, 0x076DC419, 0x0EDB8832,
		0x1DB71064, 0x3B6E20C8, 0x76DC4190, 0xEDB88320),
	CRC_ROW(0x191B3141, 0x32366282, 0x646CC504, 0xC8D98A08,
		0x4AC21251, 0x958424A2, 0xF0794F05, 0x3B83984B),
	CRC_ROW(0x01C26A37, 0x0384D46E, 0x0709A8DC, 0x0E1351B8,
		0x1C26A370, 0x384D46E0, 0x709A8DC0, 0xE1351B80),
	CRC_ROW(0xB8BC6765, 0xAA09C88B, 0x8F629757, 0xC5B428EF,
		0x5019579F, 0xA032AF3E, 0x9B14583D, 0xED59B63B),
	CRC_ROW(0x3D6029B0, 0x7AC05360, 0xF580A6C0, 0x30704BC1,
		0x60E09782, 0xC1C12F04, 0x58F35849, 0xB1E6B092),
	CRC_ROW(0xCB5CD3A5, 0x4DC8A10B, 0x9B914216, 0xEC53826D,
		0x03D6029B, 0x07AC0536, 0x0F580A6C, 0x1EB014D8),
	CRC_ROW(0xA6770BB4, 0x979F1129, 0xF44F2413, 0x33EF4E67,
		0x67DE9CCE, 0xCFBD399C, 0x440B7579, 0x8816EAF2),
	CRC_ROW(0xCCAA009E, 0x4225077D, 0x844A0EFA, 0xD3E51BB5,
		0x7CBB312B, 0xF9766256, 0x299DC2ED, 0x533B85DA),
	CRC_ROW(0x177B1443, 0x2EF62886, 0x5DEC510C, 0xBBD8A218,
		0xACC04271, 0x82F182A3, 0xDE920307, 0x6655004F),
	CRC_ROW(0xEFC26B3E, 0x04F5D03D, 0x09EBA07A, 0x13D740F4,
		0x27AE81E8, 0x4F5D03D0, 0x9EBA07A0, 0xE6050901),
	CRC_ROW(0xC18EDFC0, 0x586CB9C1, 0xB0D97382, 0xBAC3E145,
		0xAEF6C4CB, 0x869C8FD7, 0xD64819EF, 0x77E1359F),
	CRC_ROW(0x9BA54C6F, 0xEC3B9E9F, 0x03063B7F, 0x060C76FE,
		0x0C18EDFC, 0x1831DBF8, 0x3063B7F0, 0x60C76FE0),
	CRC_ROW(0xDD96D985, 0x605CB54B, 0xC0B96A96, 0x5A03D36D,
		0xB407A6DA, 0xB37E4BF5, 0xBD8D91AB, 0xA06A2517),
	CRC_ROW(0x9D0FE176, 0xE16EC4AD, 0x19AC8F1B, 0x33591E36,
		0x66B23C6C, 0xCD6478D8, 0x41B9F7F1, 0x8373EFE2),
	CRC_ROW(0xB9FBDBE8, 0xA886B191, 0x8A7C6563, 0xCF89CC87,
		0x44629F4F, 0x88C53E9E, 0xCAFB7B7D, 0x4E87F0BB),
	CRC_ROW(0xAE689191, 0x87A02563, 0xD4314C87, 0x73139F4F,
		0xE6273E9E, 0x173F7B7D, 0x2E7EF6FA, 0x5CFDEDF4),
};

/* x^(2^k) */
static const uint32_t powers[PERIOD] = {
	0x40000000, 0x20000000, 0x08000000, 0x00800000, 0x00008000, 0xEDB88320,
	0xB1E6B092, 0xA06A2517, 0xED627DAE, 0x88D14467, 0xD7BBFE6A, 0xEC447F11,
	0x8E7EA170, 0x6427800E, 0x4D47BAE0, 0x09FE548F, 0x83852D0F, 0x30362F1A,
	0x7B5A9CC3, 0x31FEC169, 0x9FEC022A, 0x6C8DEDC4, 0x15D6874D, 0x5FDE7A4E,
	0xBAD90E37, 0x2E4E5EEF, 0x4EABA214, 0xA8A472C0, 0x429A969E, 0x148D302A,
	0xC40BA6D0, 0xC4E22C3C,
};

#if KIO_SIMD_X86 || KIO_SIMD_ARM_CRC
static const struct crc_fold fold = {
	.by128 = { 0x65673B4600000000u, 0x9BA54C6F00000000u },
	.by256 = { 0x9570D49500000000u, 0x01B5FD1D00000000u },
	.by512 = { 0x653D982200000000u, 0xCAD38E8F00000000u },
	.by1024 = { 0x7D657A1000000000u, 0x7406FA9500000000u },
	.by2048 = { 0x7CC8E1E700000000u, 0x03F9F86300000000u },
};
#endif

uint32_t kio_crc32_combine(uint32_t crc1, uint32_t crc2, uint64_t nbytes2)
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
#elif KIO_SIMD_ARM_CRC
#  define CRC_WORD __crc32d
#  define CRC_BYTE __crc32b
#  include "arm/crc_fold_impl.h"
#endif

const struct kio_crc32_impl kio_crc32_impls[] = {
#if KIO_SIMD_X86
	{ "vpclmul512", kio_runs_vpclmul512, vpclmul512 },
	{ "vpclmul", kio_runs_vpclmul, vpclmul },
	{ "pclmul", kio_runs_pclmul, pclmul },
#elif KIO_SIMD_ARM_CRC
	{ "pmull", kio_runs_arm_pmull, pmull },
	{ "armcrc", kio_runs_arm_crc32, armcrc },
#endif
	{ "portable", kio_runs_always, portable },
};
KIO_DISPATCH(crc32, uint32_t, (uint32_t crc, const void *src, size_t nbytes), (crc, src, nbytes))

const struct kio_crc32_copy_impl kio_crc32_copy_impls[] = {
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
KIO_DISPATCH(crc32_copy, uint32_t, (uint32_t crc, void *dst, const void *src, size_t nbytes),
	     (crc, dst, src, nbytes))
