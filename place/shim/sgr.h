/* SPDX-License-Identifier: ISC */
/*
 * SGR in the terms of libvterm 0.1 to 0.3: what it lacks (dim, concealed, overlined) becomes a font, SGR
 * 11 to 17, which nobody uses for fonts; underline colour is left out; colours are written its way.
 */
#ifndef SHIM_SGR_H
#define SHIM_SGR_H

#include "base/buf.h"
#include "place/shim/scan.h"
#include "place/shim/screen.h"

/* Appends what to feed for the SGR t (nothing when nothing remains). *ret_font: the font before, then the
 * one that must be switched on afterwards. */
void sgr_rewrite(const struct scan_token *t, unsigned *ret_font, struct buf *out);
/* Appends what makes the pen a. */
void sgr_pen(const struct screen_attr *a, struct buf *out);
/* ATTR_* flags of a font. */
uint8_t sgr_font_flags(unsigned font);

#endif
