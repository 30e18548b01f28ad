/* SPDX-License-Identifier: ISC */
/*
 * A spawn that is asked for again, by its key: no second agent, the caller hears of the first.
 *
 * The key is written with the instance's row, in one transaction, once the spawn was accepted; one that was
 * refused (a cap, a name) left nothing and may be asked for again. A key outlives its instance: when that
 * was removed meanwhile, the retry is told so.
 */
#include "daemon/core/fleet_int.h"

const char *key_shown(const char *key)
{
	const char *slash = strchr(key, '/');

	return slash ? slash + 1 : key;
}

static bool starts(const struct unit *u)
{
	return u->in->state == ST_QUEUED || (u->step != STEP_NONE && u->step != STEP_LIVE && u->step != STEP_STOP);
}

int spawned_before(struct fleet *f, const struct spawn_args *a, char *ret_id, struct err *e)
{
	struct spawn_key k;
	struct waiter_done *w;
	struct err failed = {0};
	struct unit *u;

	if (!a->key || P(f)->spawn_key_get(CTX(f), a->key, &k) < 0)
		return 0;
	if (strcmp(k.digest, a->digest)) {
		err_set(e, ERR_EXISTS, "the key '%s' was used for another spawn", key_shown(a->key));
		return err_hint(e, "a key stands for one spawn; take a new one for what is new");
	}
	u = unit_find(f, k.instance);
	if (!u) {
		err_set(e, ERR_NOT_FOUND, "instance %s, which that key made, was removed since", k.instance);
		return err_hint(e, "take a new key to make another");
	}
	memcpy(ret_id, k.instance, ID_SIZE);
	if (a->wait && (starts(u) || start_awaited(u))) {
		w = xcalloc(1, sizeof(*w));
		*w = (struct waiter_done){.next = u->start_more, .fn = a->done, .arg = a->arg};
		u->start_more = w;
		return 1;
	}
	if (u->in->state == ST_FAILED)
		err_set(&failed, ERR_FAILED, "instance %s, which that key made, failed: %s", k.instance,
			u->in->detail ? u->in->detail : "no reason is known");
	answer_later(u, a->done, a->arg, failed.code ? &failed : NULL);
	return 1;
}

void spawn_key_note(struct unit *u, const struct spawn_args *a)
{
	struct spawn_key k = {0};

	u->keyed = a->key != NULL;
	if (!a->key)
		return;
	str_fmt(k.key, sizeof(k.key), "%s", a->key);
	str_fmt(k.digest, sizeof(k.digest), "%s", a->digest);
	memcpy(k.instance, u->in->id, ID_SIZE);
	P(u->f)->spawn_key_put(CTX(u->f), &k);
}
