/* SPDX-License-Identifier: ISC */
/* Decides once in a daemon's life between KVM and software emulation. */
#include "daemon/driver/accel.h"

#include "base/util.h"
#include "daemon/driver/kvm_probe.h"

struct waiting {
	struct waiting *next;
	accel_fn *fn;
	void *arg;
};

static struct {
	bool known;
	enum qemu_accel accel;
	char reason[KVM_REASON_MAX];
	struct kvm_probe *probe;
	struct waiting *waiting;
} state;

const char *driver_accel(const char **ret_reason)
{
	if (ret_reason)
		*ret_reason = state.reason;
	if (!state.known)
		return NULL;
	return state.accel == QEMU_KVM ? "kvm" : "tcg";
}

static void decide(enum qemu_accel accel, const char *reason)
{
	state.known = true;
	state.accel = accel;
	snprintf(state.reason, sizeof(state.reason), "%s", reason);
}

static void on_probed(void *arg, bool works, const char *reason)
{
	(void)arg;
	decide(works ? QEMU_KVM : QEMU_TCG, reason);
	kvm_probe_destroy(take_ptr(state.probe));
	while (state.waiting) {
		struct waiting *w = state.waiting;
		accel_fn *fn = w->fn;
		void *fn_arg = w->arg;
		state.waiting = w->next;
		free(w);
		fn(fn_arg, state.accel);
	}
}

static void probe(const struct driver_env *env, const char *kernel, const char *initrd, uid_t uid,
	gid_t gid)
{
	cleanup_free char *cache = xasprintf("%s/kvm-probe", env->layout->state_dir);
	const struct kvm_probe_spec spec = {
		.qemu = config_string(env->config, OPT_QEMU_PATH),
		.kernel = kernel,
		.initrd = initrd,
		.cache = cache,
		.drop = uid != (uid_t)-1,
		.uid = uid,
		.gid = gid,
	};
	state.probe = kvm_probe_start(env->loop, &spec, on_probed, NULL);
}

void accel_find(const struct driver_env *env, const char *kernel, const char *initrd, uid_t uid,
	gid_t gid, accel_fn *fn, void *arg)
{
	const char *wanted = config_string(env->config, OPT_ACCEL);

	if (!state.known && strcmp(wanted, "auto") != 0)
		decide(!strcmp(wanted, "kvm") ? QEMU_KVM : QEMU_TCG, "as configured");
	if (state.known) {
		fn(arg, state.accel);
		return;
	}
	struct waiting *w = xcalloc(1, sizeof(*w)), **end = &state.waiting;
	*w = (struct waiting){.fn = fn, .arg = arg};
	while (*end)
		end = &(*end)->next;
	*end = w;
	if (!state.probe)
		probe(env, kernel, initrd, uid, gid);
}

void accel_finish(void)
{
	kvm_probe_destroy(state.probe);
	while (state.waiting) {
		struct waiting *w = state.waiting;
		state.waiting = w->next;
		free(w);
	}
	memset(&state, 0, sizeof(state));
}
