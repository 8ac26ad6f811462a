/*
 * The frame of a unit test program: a table of named claims, run by CUnit, and the closing line
 * that the whole suite's count is made of. A program is:
 *
 *	static void adds_numbers(void) { CU_ASSERT_EQUAL(1 + 1, 2); }
 *	CHECK_MAIN("sum", CHECK(adds_numbers))
 */
#ifndef BATCHD_TESTS_UNIT_CHECK_H
#define BATCHD_TESTS_UNIT_CHECK_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>

/* A sanitizer keeps what is freed, so memory cannot be measured beside it. */
#if defined(__SANITIZE_ADDRESS__)
#define CHECK_IS_SANITIZED 1
#elif defined(__has_feature)
#define CHECK_IS_SANITIZED __has_feature(address_sanitizer)
#else
#define CHECK_IS_SANITIZED 0
#endif

#define CHECK(claim)                                                                               \
	{                                                                                          \
		#claim, claim                                                                      \
	}

/* Says which row of a table failed: CU_ASSERT alone names only the line of the loop. */
#define CHECK_ROW(row, condition)                                                                  \
	do {                                                                                       \
		int holds_ = !!(condition);                                                        \
		if (!holds_)                                                                       \
			(void)fprintf(stderr, "# row %s: %s\n", (row), #condition);                \
		CU_ASSERT(holds_);                                                                 \
	} while (0)

static inline int check_run(const char *suite_name, CU_TestInfo *claims)
{
	CU_SuiteInfo suites[] = {
		{ suite_name, NULL, NULL, NULL, NULL, claims },
		CU_SUITE_INFO_NULL,
	};
	unsigned run, failed;

	if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
		return EXIT_FAILURE;
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	run = CU_get_number_of_tests_run();
	failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	(void)printf("\n%s: %u passed, %u failed\n", suite_name, run - failed, failed);
	return failed || !run ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define CHECK_MAIN(suite_name, ...)                                                                \
	int main(void)                                                                             \
	{                                                                                          \
		CU_TestInfo claims[] = { __VA_ARGS__, CU_TEST_INFO_NULL };                         \
		return check_run(suite_name, claims);                                              \
	}

#endif
