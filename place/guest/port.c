/* SPDX-License-Identifier: ISC */
/* Finds a virtio-serial port by its name and opens it, waiting for the kernel to announce it. */
#include "place/guest/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define PORTS "/sys/class/virtio-ports"
#define PORT_NAME_MAX 64
#define UEVENT_MAX 4096

/* The device of the port called name, into out; false while there is none. */
static bool port_find(const char *name, char *out, size_t size)
{
	DIR *d = opendir(PORTS);
	struct dirent *de;
	bool found = false;

	while (d && !found && (de = readdir(d))) {
		char path[sizeof(PORTS) + sizeof(de->d_name) + 8], have[PORT_NAME_MAX];

		if (de->d_name[0] == '.' || str_fmt(path, sizeof(path), PORTS "/%s/name", de->d_name))
			continue;
		cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, have, sizeof(have) - 1);
		if (n <= 0)
			continue;
		have[n] = '\0';
		have[strcspn(have, "\n")] = '\0';
		found = strcmp(have, name) == 0 && str_fmt(out, size, "/dev/%s", de->d_name) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

/* The kernel tells of new ports, and of their names, which come a little later, as uevents. */
static int uevents_open(void)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int guest_port_open(const char *name, int ms, int *ret_fd, struct err *e)
{
	int64_t deadline = clock_mono_ms() + ms;
	cleanup_close int events = uevents_open();
	char dev[64 + sizeof(((struct dirent *)NULL)->d_name)];

	if (events < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot listen for the kernel's events");
	for (;;) {
		if (port_find(name, dev, sizeof(dev))) {
			int fd = open(dev, O_RDWR | O_NONBLOCK | O_CLOEXEC);
			if (fd >= 0) {
				*ret_fd = fd;
				return 0;
			}
			/* ENOENT: devtmpfs makes the node a moment after sysfs shows the port. */
			if (errno != ENOENT)
				return err_set_errno(e, ERR_IO, errno, "cannot open %s", dev);
		}
		int64_t left = deadline - clock_mono_ms();
		struct pollfd p = { .fd = events, .events = POLLIN };
		char drop[UEVENT_MAX];

		if (left <= 0)
			return err_set(e, ERR_TIMEOUT, "the machine has no virtio-serial port named %s", name);
		if (poll(&p, 1, (int)left) > 0)
			while (recv(events, drop, sizeof(drop), 0) > 0)
				;
	}
}
