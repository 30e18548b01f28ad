/* SPDX-License-Identifier: ISC */
/* The table of migrations. Add a row for a change; never edit one that was released. */
#include "daemon/store/migrate.h"

#include "base/util.h"

/*
 * Columns of `instances` are the keys of instance_to_row(). `ids` outlives the rows: a trigger refuses
 * an id that was ever given out. Names are unique among the living. `parent` and `place` refer to
 * rows that may have been removed, so they are no foreign keys; a prompt goes with its instance.
 */
static const char version_1[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE ids(id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
	"CREATE TABLE instances("
	" id TEXT PRIMARY KEY, name TEXT, parent TEXT, place TEXT,"
	" driver TEXT NOT NULL, agent TEXT NOT NULL, dir TEXT NOT NULL, template TEXT, model TEXT,"
	" permissions TEXT NOT NULL, argv TEXT, allow TEXT, labels TEXT NOT NULL,"
	" cpus INTEGER NOT NULL, memory_mib INTEGER NOT NULL,"
	" rows INTEGER NOT NULL, cols INTEGER NOT NULL, rm INTEGER NOT NULL,"
	" max_children INTEGER NOT NULL, max_descendants INTEGER NOT NULL,"
	" max_depth INTEGER NOT NULL, spawn_rate INTEGER NOT NULL,"
	" state TEXT NOT NULL, reason TEXT, detail TEXT,"
	" created_ms INTEGER NOT NULL, state_since_ms INTEGER NOT NULL, time_in_state TEXT NOT NULL,"
	" conversation TEXT, starts INTEGER NOT NULL, turns INTEGER NOT NULL, pid INTEGER NOT NULL,"
	" exit_known INTEGER NOT NULL, exit_code INTEGER NOT NULL, exit_signal INTEGER NOT NULL,"
	" has_pane INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX instances_living_name ON instances(name)"
	" WHERE state NOT IN ('exited', 'failed');"
	"CREATE TRIGGER instances_id AFTER INSERT ON instances BEGIN"
	" INSERT INTO ids VALUES(new.id); END;"
	"CREATE TABLE places("
	" id TEXT PRIMARY KEY, driver TEXT NOT NULL, template TEXT, state TEXT NOT NULL,"
	" number INTEGER NOT NULL, accel TEXT, holder_pid INTEGER NOT NULL,"
	" shim_pid INTEGER NOT NULL, shim_seq INTEGER NOT NULL, boot_ms INTEGER NOT NULL,"
	" boot_tries INTEGER NOT NULL, created_ms INTEGER NOT NULL, boot TEXT)"
	" STRICT, WITHOUT ROWID;"
	"CREATE UNIQUE INDEX places_number ON places(number) WHERE number > 0;"
	"CREATE TRIGGER places_id AFTER INSERT ON places BEGIN"
	" INSERT INTO ids VALUES(new.id); END;"
	"CREATE TABLE prompts("
	" key TEXT PRIMARY KEY, instance TEXT NOT NULL REFERENCES instances(id) ON DELETE CASCADE,"
	" text TEXT NOT NULL, raw INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT,"
	" created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL) STRICT;"
	"CREATE INDEX prompts_instance ON prompts(instance);"
	"CREATE INDEX prompts_open ON prompts(created_ms) WHERE status IN ('queued', 'delivering');"
	"CREATE TABLE intents("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL, UNIQUE(kind, key)) STRICT;"
	"CREATE TABLE events("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, type TEXT NOT NULL,"
	" instance TEXT, place TEXT, data TEXT NOT NULL) STRICT;"
	"CREATE INDEX events_instance ON events(instance, seq) WHERE instance IS NOT NULL;"
	"CREATE TABLE templates("
	" name TEXT PRIMARY KEY, stamp TEXT NOT NULL, seen_ms INTEGER NOT NULL)"
	" STRICT, WITHOUT ROWID;";

/*
 * Of a prompt that is settled the text goes, its digest stays: it answers a retry. The names of an
 * instance's variables are kept, their values never. A key of spawn outlives its instance, so that a late
 * retry makes no second one.
 */
static const char version_2[] =
	"ALTER TABLE prompts ADD COLUMN digest TEXT;"
	"ALTER TABLE prompts ADD COLUMN code TEXT;"
	"ALTER TABLE prompts ADD COLUMN hint TEXT;"
	"ALTER TABLE instances ADD COLUMN env_names TEXT;"
	"CREATE TABLE spawn_keys("
	" key TEXT NOT NULL UNIQUE, instance TEXT NOT NULL, digest TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL) STRICT;";

/* A prompt that failed with nothing of it typed is queued anew by a retry under its key. */
static const char version_3[] = "ALTER TABLE prompts ADD COLUMN untyped INTEGER NOT NULL DEFAULT 0;";

/* A parent is for life: caps are counted through it. Who waits for a start keeps its place in line, and the
 * prompt of a spawn is a row from the beginning. */
static const char version_4[] =
	"CREATE TRIGGER instances_parent BEFORE UPDATE OF parent ON instances"
	" WHEN new.parent IS NOT old.parent BEGIN"
	" SELECT RAISE(ABORT, 'an instance keeps its parent'); END;"
	"ALTER TABLE instances ADD COLUMN queue_no INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN requeued INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE prompts ADD COLUMN first INTEGER NOT NULL DEFAULT 0;"
	/* Caps of the whole tree. What a machine's disk may grow to was not written down before. */
	"ALTER TABLE instances ADD COLUMN max_total INTEGER NOT NULL DEFAULT 10000;"
	"ALTER TABLE instances ADD COLUMN max_memory INTEGER NOT NULL DEFAULT -1;"
	"ALTER TABLE instances ADD COLUMN max_disk INTEGER NOT NULL DEFAULT -1;"
	"ALTER TABLE instances ADD COLUMN max_roles TEXT;"
	"ALTER TABLE instances ADD COLUMN narrowed TEXT;"
	"ALTER TABLE instances ADD COLUMN spawned_total INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN vm_memory_mib INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN vm_disk_mib INTEGER NOT NULL DEFAULT 0;"
	"UPDATE instances SET vm_memory_mib = memory_mib WHERE driver = 'qemu';"
	"CREATE TABLE spawn_times("
	" holder TEXT NOT NULL, boot TEXT NOT NULL, boot_ms INTEGER NOT NULL,"
	" wall_ms INTEGER NOT NULL) STRICT;"
	"CREATE INDEX spawn_times_age ON spawn_times(boot, boot_ms);"
	/* Who called what, to whom, with what outcome; `count`: how often, when the same came again and again. */
	"CREATE TABLE audit("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
	" count INTEGER NOT NULL, instance TEXT, place TEXT, uid INTEGER, pid INTEGER, program TEXT,"
	" method TEXT NOT NULL, targets TEXT, verdict TEXT NOT NULL, code TEXT, reason TEXT, digest TEXT)"
	" STRICT;"
	"CREATE INDEX audit_instance ON audit(instance, seq) WHERE instance IS NOT NULL;"
	/* What all events up to this one take, so that the size of those kept is a difference. */
	"ALTER TABLE events ADD COLUMN upto INTEGER NOT NULL DEFAULT 0;"
	/* Numbers of events mean something in one database alone: its name. */
	"INSERT INTO meta VALUES('fleet', lower(hex(randomblob(16))));"
	/* Restart policies; what runs now is wanted. */
	"ALTER TABLE instances ADD COLUMN restart TEXT NOT NULL DEFAULT 'never';"
	"ALTER TABLE instances ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN again TEXT;"
	"ALTER TABLE instances ADD COLUMN state_boot TEXT;"
	"ALTER TABLE instances ADD COLUMN state_boot_ms INTEGER NOT NULL DEFAULT 0;"
	"UPDATE instances SET wanted = 1 WHERE state NOT IN ('exited', 'failed', 'stopping');";

/* Agents: what they were asked, what they said, what they cost. */
static const char version_5[] =
	/* Whose an instance was that is removed (the ids above it, the root first, a blank between), as long as events
	 * up to its removal are kept. */
	"CREATE TABLE gone(id TEXT PRIMARY KEY, above TEXT NOT NULL, labels TEXT, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE INDEX gone_seq ON gone(seq);"
	"INSERT OR REPLACE INTO gone(id, above, labels, seq) SELECT instance, ifnull(json_extract(data, '$.parent'), ''),"
	" json_extract(data, '$.labels'), seq FROM events WHERE type = 'instance.removed' AND instance IS NOT NULL"
	" AND json_valid(data) ORDER BY seq;"
	/* What agents asked for, newest by n; `once` is the request's own mark. Grants: rules that allow some of it. */
	"CREATE TABLE approvals("
	" n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, instance TEXT NOT NULL, once TEXT NOT NULL,"
	" kind TEXT NOT NULL, status TEXT NOT NULL, tool TEXT NOT NULL, agent TEXT NOT NULL, match TEXT NOT NULL,"
	" subject TEXT NOT NULL, digest TEXT NOT NULL, cut INTEGER NOT NULL, about TEXT, args TEXT, diff TEXT, cwd TEXT,"
	" created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, boot TEXT, expires_boot_ms INTEGER NOT NULL,"
	" by TEXT, reason TEXT, output TEXT, used_ms INTEGER NOT NULL, UNIQUE(instance, once)) STRICT;"
	"CREATE INDEX approvals_instance ON approvals(instance, n);"
	"CREATE INDEX approvals_open ON approvals(n) WHERE status = 'pending';"
	"CREATE TABLE grants("
	" id TEXT PRIMARY KEY, instance TEXT NOT NULL, tool TEXT NOT NULL, whole_tool INTEGER NOT NULL,"
	" subject TEXT NOT NULL, about TEXT, boot TEXT, by TEXT, until_boot_ms INTEGER NOT NULL,"
	" created_ms INTEGER NOT NULL, uses INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	/* What its program's own file says; until when it is limited; since when it is stuck, and
	 * what is usual for it. */
	"ALTER TABLE instances ADD COLUMN session TEXT;"
	"ALTER TABLE instances ADD COLUMN limited_until_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN limited_tries INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN stuck_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instances ADD COLUMN pace TEXT;"
	/* Conversations: how far each was read, and the prompts that were seen in them. */
	"CREATE TABLE transcripts("
	" instance TEXT NOT NULL REFERENCES instances(id) ON DELETE CASCADE, conversation TEXT NOT NULL,"
	" number INTEGER NOT NULL, root TEXT NOT NULL, path TEXT NOT NULL, since_ms INTEGER NOT NULL,"
	" begun_ms INTEGER NOT NULL, pos INTEGER NOT NULL, lines INTEGER NOT NULL, skipped INTEGER NOT NULL,"
	" PRIMARY KEY(instance, conversation)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE transcript_prompts("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" instance TEXT NOT NULL REFERENCES instances(id) ON DELETE CASCADE,"
	" time_ms INTEGER NOT NULL, digest TEXT NOT NULL) STRICT;"
	"CREATE INDEX transcript_prompts_instance ON transcript_prompts(instance, seq);"
	"CREATE INDEX transcript_prompts_digest ON transcript_prompts(instance, digest);"
	/* How a prompt goes (model.h), and what the program said at the end of its turn: for each, so that merged
	 * ones have the same. seq is their order, for trimming. */
	"ALTER TABLE prompts ADD COLUMN way TEXT NOT NULL DEFAULT 'order';"
	"ALTER TABLE prompts ADD COLUMN stays INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE prompts ADD COLUMN interrupts INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE prompts ADD COLUMN awaits INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE prompts ADD COLUMN delivered_ms INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX prompts_awaited ON prompts(created_ms) WHERE awaits = 1;"
	"CREATE TABLE answers("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" key TEXT NOT NULL UNIQUE REFERENCES prompts(key) ON DELETE CASCADE,"
	" instance TEXT NOT NULL, bytes INTEGER NOT NULL, cut INTEGER NOT NULL, goes_on INTEGER NOT NULL,"
	" text TEXT NOT NULL) STRICT;"
	"CREATE INDEX answers_instance ON answers(instance, seq, bytes);"
	"ALTER TABLE instances ADD COLUMN branch_of TEXT;"
	"ALTER TABLE instances ADD COLUMN branch_from TEXT;"
	/* Who needs a person (core/attention.c). Notices: what was, or is to be, told of that on a channel, by its id; body
	 * is what is sent. notified: which things went into which notice (NULL: its time has not come); a thing is told once
	 * on each channel. */
	"CREATE TABLE attention("
	" key TEXT PRIMARY KEY, instance TEXT NOT NULL, why TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL,"
	" since_ms INTEGER NOT NULL, acked_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE notices("
	" n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL, status TEXT NOT NULL,"
	" body TEXT NOT NULL, attempts INTEGER NOT NULL, next_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
	" changed_ms INTEGER NOT NULL, error TEXT) STRICT;"
	"CREATE INDEX notices_open ON notices(n) WHERE status IN ('pending', 'sending', 'begun');"
	"CREATE TABLE notified("
	" key TEXT NOT NULL, channel TEXT NOT NULL, notice TEXT, due_ms INTEGER NOT NULL,"
	" PRIMARY KEY(key, channel)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX notified_notice ON notified(notice);"
	/* What agents spent: their newest messages one by one; sums by day and model, which outlive instances (those of a
	 * removed one become its parent's, kind 1); what else is known of an instance. */
	"CREATE TABLE usage("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" instance TEXT NOT NULL REFERENCES instances(id) ON DELETE CASCADE, message TEXT NOT NULL,"
	" conversation TEXT NOT NULL, turn INTEGER NOT NULL, time_ms INTEGER NOT NULL, day INTEGER NOT NULL,"
	" model TEXT NOT NULL, effort TEXT NOT NULL, side INTEGER NOT NULL,"
	" turns INTEGER NOT NULL, messages INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER"
	" NOT NULL, cache_write INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, thinking INTEGER NOT"
	" NULL, web_searches INTEGER NOT NULL, cost_nano INTEGER NOT NULL, unpriced INTEGER NOT NULL,"
	" UNIQUE(instance, message)) STRICT;"
	"CREATE INDEX usage_instance ON usage(instance, seq);"
	"CREATE TABLE usage_days("
	" instance TEXT NOT NULL, kind INTEGER NOT NULL, day INTEGER NOT NULL, model TEXT NOT NULL,"
	" turns INTEGER NOT NULL, messages INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER"
	" NOT NULL, cache_write INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, thinking INTEGER NOT"
	" NULL, web_searches INTEGER NOT NULL, cost_nano INTEGER NOT NULL, unpriced INTEGER NOT NULL,"
	" PRIMARY KEY(instance, kind, day, model)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE usage_state("
	" instance TEXT PRIMARY KEY REFERENCES instances(id) ON DELETE CASCADE, begun INTEGER NOT NULL,"
	" context INTEGER NOT NULL, model TEXT NOT NULL, effort TEXT NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"ALTER TABLE instances ADD COLUMN budget TEXT;"
	/* What is to be sent later, or again and again (model/schedule.h); newest by n. */
	"CREATE TABLE schedules("
	" n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, instance TEXT NOT NULL, made_by TEXT NOT NULL,"
	" key TEXT UNIQUE, digest TEXT, kind TEXT NOT NULL, status TEXT NOT NULL, way TEXT NOT NULL, late INTEGER NOT NULL, start INTEGER NOT NULL,"
	" states INTEGER NOT NULL, text TEXT, rule TEXT, zone TEXT NOT NULL, boot TEXT, due_ms INTEGER NOT NULL,"
	" due_boot_ms INTEGER NOT NULL, times INTEGER NOT NULL, until_ms INTEGER NOT NULL, held_ms INTEGER NOT NULL,"
	" count INTEGER NOT NULL, missed INTEGER NOT NULL, last_due_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
	" reason TEXT, created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL) STRICT;"
	"CREATE INDEX schedules_instance ON schedules(instance, n);"
	"CREATE INDEX schedules_open ON schedules(n) WHERE status IN ('active', 'paused');"
	/* It was put into the program's own queue; the line that says it was used is yet to come. */
	"ALTER TABLE transcript_prompts ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;"
	"";

const struct migration store_migrations[] = {
	{"the first tables", version_1},
	{"prompts and spawns by key, the names of variables", version_2},
	{"prompts of which nothing was typed", version_3},
	{"the tree is fixed", version_4},
	{"agents", version_5},
};
const int store_migrations_count = ARRAY_LEN(store_migrations);
