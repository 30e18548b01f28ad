/* SPDX-License-Identifier: ISC */
/*
 * The holder of a renewing login: it has it renewed ahead of its end, and gives the new access token to all who use it.
 *
 *   the file changed, its time came, the clock was set, a program ended  ->  look
 *   look: read the file; another generation than was handed out          ->  hand it out
 *         its time has come, and none is under way                       ->  tmux-claude-login renew FILE
 *         it cannot be renewed any more                                  ->  one event for the whole fleet
 *
 * All that is known stands in the file: a daemon that comes after goes on from there. Renewing is the program's
 * (login/renew.h), which is not cut off when the daemon ends. Handing out goes over the links that stand, some at a time;
 * who is not reached gets it when its link stands again. The tokens an agent has and gets are both good meanwhile, as it
 * is renewed ahead of its end.
 */
#include <errno.h>
#include <sys/inotify.h>

#include "base/alarm.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/world/child.h"
#include "daemon/world/world_int.h"
#include "login/due.h"

#define PROGRAM "tmux-claude-login"
#define PROGRAM_MS (RENEW_DEADLINE_MS + 60000)
#define PAUSE_MS 1000  /* between two looks at least, whatever the file says */
#define BUSY_MS 2000   /* another renews it */
#define AGAIN_MS 30000 /* it could not be read */
#define AT_ONCE 32     /* handed out in one turn */
#define NEXT_MS 20     /* until the next */
#define FILES_MS 30000
#define NOTICES (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR)

struct logins {
	struct world *w;
	struct alarm *alarm;
	struct loop_timer *pause, *next;
	struct loop_defer *look;
	struct child *child;
	int notify;
	struct loop_io *io;
	const char *name; /* of the file, in its folder */
	char *handed;     /* id and generation that were handed out */
	char (*todo)[ID_SIZE]; /* who is still to get it, from the end */
	size_t ntodo;
	char told[ERR_MESSAGE_MAX]; /* said once */
	int64_t not_before_mono; /* of the next program */
};

static void tell(struct logins *l, const char *text, const char *hint)
{
	if (!strcmp(l->told, text))
		return;
	str_fmt(l->told, sizeof(l->told), "%s", text);
	log_warn("login", NULL, "%s", text);
	turn_event(l->w->turn, EV_NOTICE, NULL, NULL,
		json_pack("{s:s, s:s, s:s}", "kind", "login", "text", text, "hint", hint));
}

/* ---- handing out ---- */

struct handing {
	struct world *w;
	char instance[ID_SIZE];
	int64_t obtained_ms;
};

/* That may be the very token it was refused with: then it had it, and had it before it came to wait. An older guest does
 * not say whether it had it. */
static bool is_new(const struct handing *h, const struct instance *in, const json_t *result)
{
	return !json_is_false(json_object_get(result, "changed")) || h->obtained_ms > in->state_since_ms;
}

static void handed_over(void *arg, json_t *result, const struct err *error)
{
	struct handing *h = arg;
	struct instance *in = fleet_get(h->w->fleet, h->instance);

	if (error && error->code == ERR_METHOD)
		log_warn("login", h->instance, "it cannot be given the renewed login, as its guest program is older: start it again");
	else if (error)
		log_debug("login", h->instance, "it was not given the renewed login: %s", error->message);
	else if (in && is_new(h, in, result))
		fleet_on_login(h->w->fleet, in);
	free(h);
}

static void hand(struct world *w, struct instance *in, const struct login *login)
{
	json_t *files;
	struct handing *h;
	struct err err = {0};

	if (!in->place[0] || !in->pid || !driver_find(in->driver))
		return;
	files = launch_login_files(w, in, login);
	if (json_array_size(files) == 0) {
		json_decref(files);
		return;
	}
	h = xcalloc(1, sizeof(*h));
	h->w = w;
	h->obtained_ms = login->obtained_ms;
	memcpy(h->instance, in->id, ID_SIZE);
	if (fleet_shim_call(w->fleet, in, "files", json_pack("{s:o}", "files", files), FILES_MS, handed_over, h, &err) < 0)
		free(h);
}

static void hand_next(void *arg)
{
	struct logins *l = arg;
	struct login login = {0};

	if (login_load(l->w->layout->login_file, &login, NULL) < 0 || !login_usable(&login))
		l->ntodo = 0;
	for (int i = 0; i < AT_ONCE && l->ntodo > 0; i++) {
		struct instance *in = fleet_get(l->w->fleet, l->todo[--l->ntodo]);

		if (in)
			hand(l->w, in, &login);
	}
	login_finish(&login);
	if (l->ntodo > 0)
		loop_timer_start(l->next, NEXT_MS);
}

static void hand_out(struct logins *l)
{
	size_t count = fleet_count(l->w->fleet);

	l->todo = xrealloc(l->todo, (count + 1) * sizeof(*l->todo));
	l->ntodo = 0;
	for (size_t i = 0; i < count; i++) {
		const struct instance *in = fleet_at(l->w->fleet, i);

		if (in->place[0] && in->pid)
			memcpy(l->todo[l->ntodo++], in->id, ID_SIZE);
	}
	hand_next(l);
}

void logins_reach(struct world *w, const char *instance)
{
	struct instance *in = w->logins && *instance ? fleet_get(w->fleet, instance) : NULL;
	struct login login = {0};

	if (in && login_load(w->layout->login_file, &login, NULL) == 0 && login_usable(&login))
		hand(w, in, &login);
	login_finish(&login);
}

/* ---- having it renewed ---- */

static void again_in(struct logins *l, int64_t ms)
{
	l->not_before_mono = clock_mono_ms() + ms;
	loop_timer_start(l->pause, ms);
}

static void over(void *arg, const char *text, struct proc_status st)
{
	struct logins *l = arg;
	json_t *o = json_loads(text, 0, NULL);
	const char *end = json_string_value(json_object_get(o, "end")) ?: "";
	const char *why = json_string_value(json_object_get(o, "message")) ?: "";
	char said[ERR_MESSAGE_MAX];

	l->child = NULL;
	if (!strcmp(end, "renewed")) {
		l->told[0] = '\0';
		log_info("login", NULL, "the login was renewed");
	} else if (strcmp(end, "fresh") != 0 && strcmp(end, "busy") != 0 && strcmp(end, "gone") != 0) {
		if (!*why)
			str_fmt(said, sizeof(said), "the renewal of the login ended without a word (code %d, signal %d)", st.code, st.signal);
		else
			str_fmt(said, sizeof(said), "the login could not be renewed, it is tried again: %.400s", why);
		tell(l, said, json_string_value(json_object_get(o, "hint")) ?: "");
	}
	again_in(l, !strcmp(end, "busy") ? BUSY_MS : !strcmp(end, "renewed") || !strcmp(end, "fresh") ? PAUSE_MS : RENEW_PAUSE_MS);
	loop_defer_schedule(l->look);
	json_decref(o);
}

static void renew(struct logins *l)
{
	const char *ca_file = config_string(l->w->config, OPT_CA_FILE);
	char *argv[] = {PROGRAM, "renew", l->w->layout->login_file, ca_file[0] ? (char *)(uintptr_t)ca_file : NULL, NULL};
	struct err err = {0};

	l->child = child_begin_lasting(l->w->loop, PROGRAM, argv, PROGRAM_MS, over, l, &err);
	if (l->child)
		return;
	tell(l, err.message, err.hint);
	again_in(l, RENEW_PAUSE_MS);
}

static void look_at(struct logins *l, const struct login *login)
{
	int64_t now = clock_wall_ms();
	cleanup_free char *this = xasprintf("%s/%lld", login->id ?: "", (long long)login->generation);

	if (login->gone) {
		alarm_at(l->alarm, 0);
		tell(l, login->why ?: "the login is gone", "give another: tmux-claude login --subscription");
		return;
	}
	if (!l->handed || strcmp(l->handed, this) != 0) {
		free(l->handed);
		l->handed = take_ptr(this);
		hand_out(l);
	}
	int64_t at = login_look_at(login, now);
	if (l->child)
		return;
	if (at > now)
		alarm_at(l->alarm, at);
	else if (clock_mono_ms() < l->not_before_mono)
		loop_timer_start(l->pause, l->not_before_mono - clock_mono_ms());
	else
		renew(l);
}

static void look(void *arg)
{
	struct logins *l = arg;
	struct login login = {0};
	struct err err = {0};

	if (login_load(l->w->layout->login_file, &login, &err) < 0) {
		tell(l, err.message, err.hint);
		loop_timer_start(l->pause, AGAIN_MS); /* a change of its mode is told by nobody */
		return;
	}
	if (login.kind && !strcmp(login.kind, LOGIN_RENEWING)) {
		look_at(l, &login);
	} else {
		alarm_at(l->alarm, 0);
		l->told[0] = '\0';
	}
	login_finish(&login);
}

static void on_notify(void *arg, int fd, unsigned events)
{
	struct logins *l = arg;
	char text[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	(void)events;
	while ((n = read(fd, text, sizeof(text))) > 0) {
		for (char *p = text; p < text + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)(void *)p;

			if (ev->len && !strcmp(ev->name, l->name))
				loop_defer_schedule(l->look);
			p += sizeof(*ev) + ev->len;
		}
	}
}

static void watch(struct logins *l)
{
	cleanup_free char *dir = xstrdup(l->w->layout->login_file);
	char *slash = strrchr(dir, '/');
	struct err err = {0};

	*slash = '\0';
	l->name = strrchr(l->w->layout->login_file, '/') + 1;
	l->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (l->notify < 0 || dir_make(dir, 0700, &err) < 0 || inotify_add_watch(l->notify, dir, NOTICES) < 0) {
		log_warn("login", NULL, "the login's folder %s is not watched: %s", dir, err.code ? err.message : strerror(errno));
		return;
	}
	l->io = loop_io_add(l->w->loop, l->notify, LOOP_READ, on_notify, l);
}

void logins_init(struct world *w)
{
	struct logins *l = xcalloc(1, sizeof(*l));

	w->logins = l;
	l->w = w;
	l->alarm = alarm_create(w->loop, look, l);
	l->pause = loop_timer_create(w->loop, look, l);
	l->next = loop_timer_create(w->loop, hand_next, l);
	l->look = loop_defer_create(w->loop, look, l);
	watch(l);
	loop_defer_schedule(l->look);
}

void logins_finish(struct world *w)
{
	struct logins *l = w->logins;

	if (!l)
		return;
	child_release(l->child);
	loop_io_free(l->io);
	if (l->notify >= 0)
		close(l->notify);
	loop_defer_free(l->look);
	loop_timer_free(l->pause);
	loop_timer_free(l->next);
	alarm_destroy(l->alarm);
	free(l->handed);
	free(l->todo);
	free(l);
	w->logins = NULL;
}

/* ---- what is told of it ---- */

static json_t *users_of(struct world *w, const struct login *login)
{
	json_t *users = json_array();

	for (size_t i = 0; i < fleet_count(w->fleet); i++) {
		const struct instance *in = fleet_at(w->fleet, i);
		json_t *files;

		if (!in->pid || !in->place[0] || !driver_find(in->driver))
			continue;
		files = launch_login_files(w, in, login);
		if (json_array_size(files) > 0)
			json_array_append_new(users, json_string(in->id));
		json_decref(files);
	}
	return users;
}

json_t *logins_json(struct world *w)
{
	struct login login = {0};
	struct err err = {0};
	char iso[CLOCK_ISO_MAX];
	json_t *o;

	if (login_load(w->layout->login_file, &login, &err) < 0)
		return json_pack("{s:n, s:s}", "kind", "why", err.message);
	o = json_pack("{s:s?, s:b, s:s?}", "kind", login.kind, "gone", login.gone, "why", login.why);
	if (login.kind && !strcmp(login.kind, LOGIN_RENEWING)) {
		json_object_set_new(o, "expires_at", json_string(clock_iso(login.expires_ms, iso)));
		json_object_set_new(o, "renew_at", json_string(clock_iso(login_look_at(&login, clock_wall_ms()), iso)));
		json_object_set_new(o, "renewals", json_integer(login.generation - 1));
		json_object_set_new(o, "failures", json_integer(login.failures));
		json_object_set_new(o, "under_way", json_boolean(w->logins && w->logins->child));
		json_object_set_new(o, "users", users_of(w, &login));
	}
	login_finish(&login);
	return o;
}
