/* SPDX-License-Identifier: ISC */
/*
 * The options: `name = value` lines, # at the start of a line for comments, blank lines. The file is
 * read whole before anything of it counts; TMUX_CLAUDE_<NAME> in the environment wins over it.
 */
#include "ipc/config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "ipc/agentconf.h"
#include "ipc/hours.h"
#include "ipc/prices.h"
#include "ipc/roles.h"

#define CONFIG_FILE_MAX (256 * 1024)
#define CONFIG_VALUE_MAX 8192
#define ENV_PREFIX "TMUX_CLAUDE_"
#define UNLIMITED "unlimited"

enum option_type { O_STRING, O_PATH, O_INT, O_COUNT, O_BOOL, O_LIST };
enum source { FROM_DEFAULT, FROM_FILE, FROM_ENV };

static const struct option_def {
	const char *name;
	enum option_type type;
	const char *def;
	int64_t min, max;
	const char *help;
} options[OPT_COUNT] = {
#define OPTION(sym, name, type, def, min, max, help) {name, type, def, min, max, help},
#include "ipc/options.def"
#undef OPTION
};

/* Options with a fixed set of values; the registries of drivers and agents check their own. */
static const struct {
	enum option_id id;
	const char *values;
} choices[] = {
	{OPT_ACCEL, "auto kvm tcg"},
	{OPT_LOG_LEVEL, "error warn info debug"},
};

#define REASON(sym, name, urgency, command) name " "
static const char reasons[] =
#include "ipc/reasons.def"
	;
#undef REASON

/* Lists of such words. */
static const struct {
	enum option_id id;
	const char *values;
} list_choices[] = {
	{OPT_NOTIFY_TERMINAL, "bell osc9 osc777"},
	{OPT_NOTIFY_REASONS, reasons},
	{OPT_NOTIFY_TERMINAL_REASONS, reasons},
	{OPT_NOTIFY_DESKTOP_REASONS, reasons},
	{OPT_NOTIFY_COMMAND_REASONS, reasons},
	{OPT_NOTIFY_WEBHOOK_REASONS, reasons},
};

struct config {
	struct {
		char *text;
		int64_t number;
		enum source source;
	} v[OPT_COUNT];
};

static bool word_in(const char *word, const char *words)
{
	size_t n = strlen(word);

	for (const char *w = words; *w;) {
		size_t len = strcspn(w, " ");
		if (len == n && strncmp(w, word, n) == 0)
			return true;
		w += len + (w[len] == ' ');
	}
	return false;
}

static int bad_value(const struct option_def *o, const char *value, const char *wanted, struct err *e)
{
	return err_set(e, ERR_PARAMS, "%s must be %s, not '%.60s'", o->name, wanted, value);
}

static int parse_bool(const char *value, int64_t *ret)
{
	if (word_in(value, "yes true on 1"))
		*ret = 1;
	else if (word_in(value, "no false off 0"))
		*ret = 0;
	else
		return -1;
	return 0;
}

/* host:port words, as --allow takes them. */
static int check_hosts(const struct option_def *o, const char *value, struct err *e)
{
	cleanup_free char *copy = xstrdup(value);
	char *save = NULL;

	for (char *w = strtok_r(copy, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		const char *colon = strrchr(w, ':');
		int64_t port;
		if (!colon || colon == w || str_to_i64(colon + 1, 1, 65535, &port) < 0)
			return bad_value(o, w, "a list of HOST:PORT", e);
	}
	return 0;
}

static int check_choice(enum option_id id, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(choices); i++)
		if (choices[i].id == id && !word_in(value, choices[i].values))
			return err_set(e, ERR_PARAMS, "%s must be one of %s, not '%.60s'", options[id].name,
				choices[i].values, value);
	return 0;
}

/* A control key that a terminal sends as one byte of its own: not C-[, C-i, C-j, C-m. */
static int check_key(const struct option_def *o, const char *value, struct err *e)
{
	if (strcmp(value, "none") == 0)
		return 0;
	if (strlen(value) == 3 && value[0] == 'C' && value[1] == '-' &&
		strchr("abcdefghklnopqrstuvwxyz]\\^_", value[2]))
		return 0;
	return bad_value(o, value, "C- and a letter (not i, j, m) or one of ] \\ ^ _, or none", e);
}

static int check_words(enum option_id id, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(list_choices); i++) {
		cleanup_free char *copy = xstrdup(value);
		char *save = NULL;
		if (list_choices[i].id != id)
			continue;
		for (char *w = strtok_r(copy, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
			if (!word_in(w, list_choices[i].values))
				return err_set(e, ERR_PARAMS, "%s takes words of %s, not '%.60s'", options[id].name,
					list_choices[i].values, w);
	}
	return 0;
}

/* What is posted says what agents do: in clear over no network. */
static int check_url(const struct option_def *o, const char *value, struct err *e)
{
	static const char *const starts[] = {"https://", "http://localhost", "http://127.0.0.1", "http://[::1]"};
	const char *rest = NULL, *host;

	if (!*value)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(starts) && !rest; i++)
		if (str_starts(value, starts[i]))
			rest = value + strlen(starts[i]);
	if (!rest || strpbrk(value, " \t\"\\") || (str_starts(value, "http:") && *rest && *rest != ':' && *rest != '/') ||
		(str_starts(value, "https:") && (!*rest || *rest == '/')))
		return bad_value(o, value, "an https URL, or an http one of localhost", e);
	host = strstr(value, "//") + 2;
	if (memchr(host, '@', strcspn(host, "/?#")))
		return bad_value(o, value, "a URL without a name and a password", e);
	return 0;
}

static int check_notify(enum option_id id, const char *value, struct err *e)
{
	cleanup_strv char **argv = NULL;
	struct hours h;

	if (id == OPT_NOTIFY_WEBHOOK)
		return check_url(&options[id], value, e);
	if (id == OPT_NOTIFY_QUIET && hours_parse(value, &h, e) < 0)
		return err_prefix(e, "%s", options[id].name);
	if (id == OPT_NOTIFY_COMMAND && *value && conf_words(value, &argv, e) < 0)
		return err_prefix(e, "%s", options[id].name);
	return 0;
}

/* A leading ~/ is the user's home. Owned, or NULL when the path is not absolute. */
static char *expand_path(const char *value)
{
	const char *home = getenv("HOME");

	if (value[0] == '~' && value[1] == '/' && home && home[0] == '/')
		return xasprintf("%s%s", home, value + 1);
	return value[0] == '/' || value[0] == '\0' ? xstrdup(value) : NULL;
}

static int set_value(struct config *c, enum option_id id, const char *value, enum source source,
	struct err *e)
{
	const struct option_def *o = &options[id];
	cleanup_free char *text = NULL;
	int64_t number = 0;

	switch (o->type) {
	case O_STRING:
		if (value[0] == '\0' && o->def[0] != '\0')
			return bad_value(o, value, "set to something", e);
		if (check_choice(id, value, e) < 0 || check_notify(id, value, e) < 0 || (id == OPT_DETACH_KEY && check_key(o, value, e) < 0))
			return -1;
		break;
	case O_PATH:
		text = expand_path(value);
		if (!text)
			return bad_value(o, value, "an absolute path (or begin with ~/)", e);
		break;
	case O_COUNT:
	case O_INT:
		if (o->type == O_COUNT && strcmp(value, UNLIMITED) == 0)
			number = -1;
		else if (str_to_i64(value, o->min, o->max, &number) < 0)
			return err_set(e, ERR_PARAMS, "%s must be a whole number from %lld to %lld%s, not '%.60s'",
				o->name, (long long)o->min, (long long)o->max,
				o->type == O_COUNT ? " or unlimited" : "", value);
		break;
	case O_BOOL:
		if (parse_bool(value, &number) < 0)
			return bad_value(o, value, "yes or no", e);
		break;
	case O_LIST:
		if (check_words(id, value, e) < 0)
			return -1;
		if (id == OPT_ALLOW && check_hosts(o, value, e) < 0)
			return -1;
		if (id == OPT_ROLES && roles_check(value, e) < 0)
			return err_prefix(e, "%s", o->name);
		if (id == OPT_PRICES && prices_check(value, e) < 0)
			return err_prefix(e, "%s", o->name);
		if (id == OPT_MAX_ROLES && role_limits_check(value, e) < 0)
			return err_prefix(e, "%s", o->name);
		break;
	}
	free(c->v[id].text);
	c->v[id].text = text ? take_ptr(text) : xstrdup(value);
	c->v[id].number = number;
	c->v[id].source = source;
	return 0;
}

static int find_option(const char *name)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if (strcmp(options[i].name, name) == 0)
			return i;
	return -1;
}

/* Cuts blanks at both ends, in place. */
static char *trim(char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	size_t n = strlen(s);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
		s[--n] = '\0';
	return s;
}

static int parse_line(struct config *c, char *line, unsigned *seen, struct err *e)
{
	char *name = trim(line);

	if (name[0] == '\0' || name[0] == '#')
		return 0;
	char *eq = strchr(name, '=');
	if (!eq) {
		err_set(e, ERR_PARAMS, "'%.60s' has no '='", name);
		return err_hint(e, "write: name = value");
	}
	*eq = '\0';
	name = trim(name);
	char *value = trim(eq + 1);
	for (const char *p = value; *p; p++)
		if (iscntrl((unsigned char)*p) && *p != '\t')
			return err_set(e, ERR_PARAMS, "the value contains a control character");
	if (strlen(value) > CONFIG_VALUE_MAX)
		return err_set(e, ERR_PARAMS, "the value is longer than %d bytes", CONFIG_VALUE_MAX);
	int id = find_option(name);
	if (id < 0) {
		err_set(e, ERR_PARAMS, "there is no option '%.60s'", name);
		return err_hint(e, "`tmux-claude config show` lists them all");
	}
	if (seen[id]++)
		return err_set(e, ERR_PARAMS, "%s is set a second time", name);
	return set_value(c, (enum option_id)id, value, FROM_FILE, e);
}

/* Who may write the file decides what programs we run. */
static int check_file(const char *file, struct err *e)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot read %s", file);
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		err_set(e, ERR_DENIED, "%s belongs to uid %u, and it names programs that we run", file,
			(unsigned)st.st_uid);
		return err_hint(e, "chown it to yourself");
	}
	if (st.st_mode & 022) {
		err_set(e, ERR_DENIED, "%s may be written by others (mode %04o)", file,
			(unsigned)(st.st_mode & 07777));
		return err_hint(e, "chmod go-w %s", file);
	}
	return 0;
}

static int load_file(struct config *c, const char *file, struct err *e)
{
	cleanup_free char *text = NULL;
	unsigned seen[OPT_COUNT] = {0};
	unsigned number = 0;
	size_t len;

	if (access(file, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (check_file(file, e) < 0 || file_read(file, CONFIG_FILE_MAX, &text, &len, e) < 0)
		return -1;
	if (strlen(text) != len || !utf8_valid(text, len))
		return err_set(e, ERR_PARAMS, "%s is not a text file in UTF-8", file);
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		number++;
		if (parse_line(c, line, seen, e) < 0)
			return err_prefix(e, "%s:%u", file, number);
	}
	return 0;
}

static int load_environment(struct config *c, struct err *e)
{
	for (int i = 0; i < OPT_COUNT; i++) {
		char name[64] = ENV_PREFIX;
		size_t n = strlen(name);

		for (const char *p = options[i].name; *p && n < sizeof(name) - 1; p++)
			name[n++] = (char)toupper((unsigned char)*p);
		name[n] = '\0';
		const char *value = getenv(name);
		if (!value)
			continue;
		if (set_value(c, (enum option_id)i, value, FROM_ENV, e) < 0)
			return err_prefix(e, "the environment's %s", name);
	}
	return 0;
}

int config_load(const char *file, struct config **ret, struct err *e)
{
	struct config *c = xcalloc(1, sizeof(*c));

	for (int i = 0; i < OPT_COUNT; i++) {
		if (set_value(c, (enum option_id)i, options[i].def, FROM_DEFAULT, e) < 0) {
			config_free(c);
			return err_prefix(e, "the table's own default");
		}
	}
	if ((file && load_file(c, file, e) < 0) || load_environment(c, e) < 0) {
		config_free(c);
		return -1;
	}
	*ret = c;
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (int i = 0; i < OPT_COUNT; i++)
		free(c->v[i].text);
	free(c);
}

const char *config_string(const struct config *c, enum option_id o)
{
	return c->v[o].text;
}

int64_t config_int(const struct config *c, enum option_id o)
{
	return c->v[o].number;
}

static json_t *value_to_json(enum option_type type, const char *text, int64_t number)
{
	switch (type) {
	case O_INT:
		return json_integer(number);
	case O_COUNT:
		return number < 0 ? json_string(text) : json_integer(number);
	case O_BOOL:
		return json_boolean(number != 0);
	case O_STRING:
	case O_PATH:
	case O_LIST:
		break;
	}
	return json_string(text);
}

json_t *config_to_json(const struct config *c)
{
	static const char *const sources[] = {"default", "file", "environment"};
	json_t *all = json_array();

	for (int i = 0; i < OPT_COUNT; i++) {
		json_t *o = json_object();
		json_object_set_new(o, "name", json_string(options[i].name));
		json_object_set_new(o, "value",
			value_to_json(options[i].type, c->v[i].text, c->v[i].number));
		json_object_set_new(o, "source", json_string(sources[c->v[i].source]));
		json_object_set_new(o, "default", json_string(options[i].def));
		json_object_set_new(o, "help", json_string(options[i].help));
		json_array_append_new(all, o);
	}
	return all;
}

char *config_example(void)
{
	char *text = xstrdup("# tmux-claude's options, each at its default. A line that begins with # is a "
			     "comment.\n"
			     "# Options of a command win over the environment (TMUX_CLAUDE_<NAME>), and that\n"
			     "# over this file. `tmux-claude config check` reads it and says what is wrong.\n");

	for (int i = 0; i < OPT_COUNT; i++) {
		const struct option_def *o = &options[i];
		char *more;
		if (o->type == O_INT || o->type == O_COUNT)
			more = xasprintf("%s\n# %s\n# (%lld to %lld%s)\n#%s = %s\n", text, o->help,
				(long long)o->min, (long long)o->max,
				o->type == O_COUNT ? ", or unlimited" : "", o->name, o->def);
		else
			more = xasprintf("%s\n# %s\n#%s = %s\n", text, o->help, o->name, o->def);
		free(text);
		text = more;
	}
	return text;
}
