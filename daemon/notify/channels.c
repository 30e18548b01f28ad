/* SPDX-License-Identifier: ISC */
/* The channels: which are on, and what each runs. */
#include "daemon/notify/channel.h"

#include "base/proc.h"
#include "base/util.h"
#include "ipc/agentconf.h"
#include "ipc/layout.h"

static bool terminal_on(const struct config *c)
{
	return config_string(c, OPT_NOTIFY_TERMINAL)[0];
}

static const char *terminal_what(const struct config *c)
{
	return config_string(c, OPT_NOTIFY_TERMINAL);
}

static bool desktop_on(const struct config *c)
{
	return config_int(c, OPT_NOTIFY_DESKTOP);
}

static const char *desktop_what(const struct config *c)
{
	(void)c;
	return "notify-send";
}

static int desktop_program(const struct config *c, const struct notice *n, char ***ret_argv, char **ret_input, struct err *e)
{
	cleanup_free char *program = proc_which("notify-send");
	char text[NOTICE_TEXT_SIZE], markup[2 * NOTICE_TEXT_SIZE];

	(void)c;
	(void)ret_input;
	if (!program) {
		err_set(e, ERR_MISSING, "notify-send is not there");
		return err_hint(e, "install libnotify-bin, or set notify_desktop = no");
	}
	said_text(n->body, text);
	said_markup(text, markup, sizeof(markup));
	*ret_argv = strv_new();
	strv_push(ret_argv, program);
	strv_push(ret_argv, "--app-name=tmux-claude");
	strv_push(ret_argv, "--");
	strv_push(ret_argv, "tmux-claude");
	strv_push(ret_argv, markup);
	return 0;
}

static bool command_on(const struct config *c)
{
	return config_string(c, OPT_NOTIFY_COMMAND)[0];
}

static const char *command_what(const struct config *c)
{
	return config_string(c, OPT_NOTIFY_COMMAND);
}

static int command_program(const struct config *c, const struct notice *n, char ***ret_argv, char **ret_input, struct err *e)
{
	if (conf_words(config_string(c, OPT_NOTIFY_COMMAND), ret_argv, e) < 0)
		return -1;
	*ret_input = xasprintf("%s\n", n->body);
	return 0;
}

static bool webhook_on(const struct config *c)
{
	return config_string(c, OPT_NOTIFY_WEBHOOK)[0];
}

/* The path of a URL may be as good as a password. */
static const char *webhook_what(const struct config *c)
{
	static char host[128];
	const char *url = config_string(c, OPT_NOTIFY_WEBHOOK), *p = strstr(url, "//");
	size_t n = p ? (size_t)(p - url) + 2 + strcspn(p + 2, "/?#") : 0;

	str_fmt(host, sizeof(host), "%.*s/...", (int)(n < sizeof(host) - 8 ? n : sizeof(host) - 8), url);
	return host;
}

static int webhook_program(const struct config *c, const struct notice *n, char ***ret_argv, char **ret_input, struct err *e)
{
	const char *secret = config_string(c, OPT_NOTIFY_WEBHOOK_SECRET);
	cleanup_free char *program = layout_program("tmux-claude-webhook", e);
	json_t *o;

	if (!program)
		return -1;
	o = json_pack("{s:s, s:s?, s:s?, s:I, s:s, s:s}", "url", config_string(c, OPT_NOTIFY_WEBHOOK), "secret_file",
		secret[0] ? secret : NULL, "ca_file", config_string(c, OPT_CA_FILE), "timeout_ms", (json_int_t)config_int(c, OPT_NOTIFY_TIMEOUT) * 1000, "id", n->id, "body",
		n->body);
	*ret_input = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	*ret_argv = strv_new();
	strv_push(ret_argv, program);
	return 0;
}

const struct channel_def channel_defs[CH_COUNT] = {
	[CH_TERMINAL] = {.name = "terminal", .reasons = OPT_NOTIFY_TERMINAL_REASONS, .on = terminal_on, .what = terminal_what},
	[CH_DESKTOP] = {.name = "desktop", .reasons = OPT_NOTIFY_DESKTOP_REASONS, .on = desktop_on, .what = desktop_what,
		.program = desktop_program},
	[CH_COMMAND] = {.name = "command", .reasons = OPT_NOTIFY_COMMAND_REASONS, .on = command_on, .what = command_what,
		.program = command_program},
	[CH_WEBHOOK] = {.name = "webhook", .reasons = OPT_NOTIFY_WEBHOOK_REASONS, .posts = true, .on = webhook_on,
		.what = webhook_what, .program = webhook_program},
};

unsigned channel_reasons(const struct config *c, const struct channel_def *d)
{
	const char *own = config_string(c, d->reasons);
	cleanup_free char *copy = xstrdup(own[0] ? own : config_string(c, OPT_NOTIFY_REASONS));
	enum attention_why why;
	char *save = NULL;
	unsigned bits = 0;

	for (char *w = strtok_r(copy, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		if (attention_why_from_name(w, &why) == 0)
			bits |= 1u << why;
	return bits;
}
