/* SPDX-License-Identifier: ISC */
/* The words of the tmux command that a person's terminal runs; attach.h has the theory. */
#include "daemon/tmux/attach.h"

#include "base/clock.h"
#include "base/util.h"
#include "daemon/tmux/conf.h"
#include "daemon/tmux/pool.h"

#define NONCE_BYTES 4

/* ---- words ---- */

/* A word of ours or of somebody else's that stands for itself: tmux takes a ';' at a word's end for the
 * end of a command. */
static void word(char ***argv, const char *text)
{
	size_t n = strlen(text);

	if (n > 0 && text[n - 1] == ';')
		strv_pushf(argv, "%.*s\\;", (int)(n - 1), text);
	else
		strv_push(argv, text);
}

/* One that tmux expands as a format. */
static void format_word(char ***argv, const char *text)
{
	cleanup_free char *doubled = xcalloc(2, strlen(text) + 1);
	char *out = doubled;

	for (; *text != '\0'; text++) {
		if (*text == '#')
			*out++ = '#';
		*out++ = *text;
	}
	word(argv, doubled);
}

static void words(char ***argv, const char *const *list)
{
	for (; *list != NULL; list++)
		strv_push(argv, *list);
}

static void option(char ***argv, const char *flag, const char *target, const char *name, const char *value)
{
	words(argv, (const char *const[]){";", "set-option", flag, "-t", target, name, NULL});
	word(argv, value);
}

static void program(char ***argv, char *const *program)
{
	words(argv, (const char *const[]){"-c", "/", "--", NULL});
	for (; *program != NULL; program++)
		word(argv, *program);
}

/* ---- sessions ---- */

static void begin(struct tmux_attached *at, const char *socket)
{
	at->argv = strv_new();
	str_fmt(at->socket, sizeof(at->socket), "%s", socket);
	/* -u: our panes are UTF-8, whatever the locale of who looks says. */
	words(&at->argv, (const char *const[]){"-u", "-S", socket, NULL});
}

static void attach_pane(struct pane *pa, struct tmux_attached *at)
{
	char target[TMUX_TARGET_MAX];

	pane_target(pa, target);
	begin(at, tmux_shard_socket(pa->server->shard));
	words(&at->argv, (const char *const[]){"attach-session", "-t", target, NULL});
	str_fmt(at->session, sizeof(at->session), "%s", target);
	pa->promised_ms = clock_mono_ms();
}

static void mark(char ***argv, const char *target, const struct tmux_look *look)
{
	option(argv, "-p", target, TMUX_VIEW_OPTION, look->id);
	words(argv, (const char *const[]){";", "set-option", "-p", "-t", target, TMUX_NAME_OPTION, NULL});
	format_word(argv, look->title);
}

static void tiles(char ***argv, const char *target, const struct tmux_look *looks, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		words(argv, (const char *const[]){";", "split-window", "-t", target, NULL});
		program(argv, looks[i].argv);
		mark(argv, target, &looks[i]);
		words(argv, (const char *const[]){";", "select-layout", "-t", target, "tiled", NULL});
	}
	option(argv, "-w", target, "pane-border-status", "top");
	words(argv, (const char *const[]){";", "select-pane", "-t", NULL});
	strv_pushf(argv, "%s.{top-left}", target);
}

static void attach_own(const char *socket, const struct tmux_look *looks, size_t n,
	const struct tmux_attach_how *how, struct tmux_attached *at)
{
	char name[TMUX_TARGET_MAX], target[TMUX_TARGET_MAX];
	unsigned char nonce[NONCE_BYTES];

	random_bytes(nonce, sizeof(nonce));
	str_fmt(name, sizeof(name), TMUX_OWN "-%.*s-%02x%02x%02x%02x", TMUX_ID_MAX, n == 1 ? looks[0].id : "tiles",
		nonce[0], nonce[1], nonce[2], nonce[3]);
	str_fmt(at->session, sizeof(at->session), "=%s", name);
	str_fmt(target, sizeof(target), "=%s:", name);
	begin(at, socket);
	words(&at->argv, (const char *const[]){"new-session", "-s", name, "-n", NULL});
	if (n == 1)
		format_word(&at->argv, looks[0].title);
	else
		strv_pushf(&at->argv, "%zu agents", n);
	program(&at->argv, looks[0].argv);
	option(&at->argv, "-q", target, "destroy-unattached", "on");
	mark(&at->argv, target, &looks[0]);
	if (how->read_only)
		option(&at->argv, "-q", target, TMUX_NOTE_OPTION, "read only");
	if (how->plain)
		for (const struct tmux_setting *s = tmux_conf_plain; s->name != NULL; s++)
			option(&at->argv, s->flag, target, s->name, s->value);
	if (n > 1)
		tiles(&at->argv, target, looks, n);
}

/* ---- what is asked ---- */

/* The server of the first agent's pane, or any that answers. */
static struct server *find_server(struct tmux_pool *p, const char *id)
{
	struct pane *pa = pool_find(p, id);
	struct server *sv;

	if (pa != NULL && server_answers(pa->server))
		return pa->server;
	TAILQ_FOREACH (sv, &p->servers, entry)
		if (server_answers(sv))
			return sv;
	return NULL;
}

/* As select-layout tiled divides. */
static int check_tiles(size_t n, const struct tmux_attach_how *how, struct err *e)
{
	int down = 1, across = 1;

	if (n > TMUX_TILES_MAX) {
		err_set(e, ERR_LIMIT, "%zu agents are more than the %d that are shown side by side", n, TMUX_TILES_MAX);
		return err_hint(e, "name fewer, or choose them by another label");
	}
	while ((size_t)(down * across) < n) {
		down++;
		if ((size_t)(down * across) < n)
			across++;
	}
	if (n > 1 && how->rows > 0 && how->cols > 0 &&
		(how->rows / down < TMUX_TILE_ROWS || how->cols / across < TMUX_TILE_COLS)) {
		err_set(e, ERR_LIMIT, "%zu agents side by side do not fit a terminal of %d x %d", n, how->cols,
			how->rows);
		return err_hint(e, "name fewer, or make it larger: each needs %d x %d", TMUX_TILE_COLS,
			TMUX_TILE_ROWS);
	}
	return 0;
}

static bool is_free(const struct pane *pa)
{
	return pa->phase == PANE_OPEN && pa->viewers == 0 && server_answers(pa->server) &&
	       (pa->promised_ms == 0 || clock_mono_ms() - pa->promised_ms > TMUX_PROMISE_MS);
}

int tmux_attach(struct tmux_pool *p, const struct tmux_look *looks, size_t n,
	const struct tmux_attach_how *how, struct tmux_attached *ret, struct err *e)
{
	struct pane *pa = pool_find(p, looks[0].id);
	struct tmux_attached at = {0};
	struct server *sv;

	if (check_tiles(n, how, e) < 0)
		return -1;
	if (n == 1 && !how->own && !how->read_only && !how->plain && pa != NULL && is_free(pa)) {
		attach_pane(pa, &at);
		*ret = at;
		return 0;
	}
	sv = find_server(p, looks[0].id);
	if (sv == NULL)
		return err_set(e, ERR_STATE, "no tmux server of ours answers now");
	attach_own(tmux_shard_socket(sv->shard), looks, n, how, &at);
	*ret = at;
	return 0;
}
