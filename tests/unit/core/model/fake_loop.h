/* SPDX-License-Identifier: ISC */
/* Time that stands still until the test moves it; linked in place of base/loop.c. */
#ifndef TESTS_FAKE_LOOP_H
#define TESTS_FAKE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

void time_begin(uint64_t seed);
void time_jump_wall(int64_t ms);
void time_new_boot(void);   /* the boot's clock begins anew, the wall's goes on */
int64_t time_true(void);    /* ms that passed, whatever clocks say and boots begin */
int64_t time_to_timer(void); /* ms, -1: none runs */
/* Fires the next timer due by `until` (true), or moves the clock there (false). */
bool time_step(int64_t until);
bool loop_work(void); /* runs one deferred call */
void loop_forget(void);

#endif
