/* SPDX-License-Identifier: ISC */
/* Cuts a terminal's byte stream into whole tokens: text, controls, escape and control sequences. */
#ifndef SHIM_SCAN_H
#define SHIM_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_HOLD_MAX 4096 /* longest OSC or CSI that is understood; longer ones are dropped */
#define SCAN_PARAMS_MAX 64
#define SCAN_PARAM_MISSING (-1)

enum scan_kind {
	SCAN_TEXT,   /* valid UTF-8 without controls; what was invalid became U+FFFD */
	SCAN_C0,     /* one control byte, in `final` */
	SCAN_ESC,    /* ESC intermediates final */
	SCAN_CSI,    /* ESC [ leader params intermediate final */
	SCAN_OSC,    /* body (without introducer and terminator) in data, NUL behind it */
	SCAN_STRING, /* DCS, APC, PM, SOS (which: `leader`); body in data, NUL behind, maybe cut */
};

struct scan_param {
	int value;  /* SCAN_PARAM_MISSING when empty */
	bool colon; /* joined to the one before by ':' */
};

struct scan_token {
	enum scan_kind kind;
	const unsigned char *data; /* TEXT: the text; ESC, CSI: the whole sequence; else the body */
	size_t len;
	unsigned char leader;      /* CSI: one of <=>? or 0; STRING: P _ ^ X */
	unsigned char inter;       /* the (last) intermediate, or 0 */
	unsigned char inters;      /* how many intermediates */
	unsigned char final;
	bool bel;                  /* OSC: ended by BEL rather than ST */
	int nparams;
	const struct scan_param *params;
};

enum scan_state {
	SCAN_S_GROUND,
	SCAN_S_UTF8,
	SCAN_S_ESC,
	SCAN_S_CSI,
	SCAN_S_STRING,
	SCAN_S_STRING_ESC,
};

struct scan {
	enum scan_state state;
	unsigned char intro;       /* of the string: ] P _ ^ X */
	bool overflow;             /* the sequence is longer than hold: dropped at its end */
	unsigned char utf8_need, utf8_lo, utf8_hi;
	size_t since;              /* raw bytes of the unfinished token */
	size_t len;
	struct scan_param params[SCAN_PARAMS_MAX];
	unsigned char hold[SCAN_HOLD_MAX + 1];
};

typedef void scan_fn(void *arg, const struct scan_token *t);

void scan_init(struct scan *s);
/* Calls fn for every token completed by these bytes. Token data are valid during the call only. */
void scan_feed(struct scan *s, const void *data, size_t len, scan_fn *fn, void *arg);
/* How many of the bytes fed so far belong to a token that is not complete. */
size_t scan_pending(const struct scan *s);
/* Parameter i of a CSI, or def when it is missing or absent. */
int scan_param(const struct scan_token *t, int i, int def);

#endif
