/* SPDX-License-Identifier: ISC */
/* SFTP version 3 on the wire (draft-ietf-secsh-filexfer-02): numbers, reading and writing. Pure. */
#ifndef FILES_WIRE_H
#define FILES_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"

#define WIRE_PACKET_MAX (256 * 1024) /* the body of a packet, either way */
#define WIRE_VERSION 3

enum wire_type {
	FXP_INIT = 1,
	FXP_VERSION = 2,
	FXP_OPEN = 3,
	FXP_CLOSE = 4,
	FXP_READ = 5,
	FXP_WRITE = 6,
	FXP_LSTAT = 7,
	FXP_FSTAT = 8,
	FXP_SETSTAT = 9,
	FXP_FSETSTAT = 10,
	FXP_OPENDIR = 11,
	FXP_READDIR = 12,
	FXP_REMOVE = 13,
	FXP_MKDIR = 14,
	FXP_RMDIR = 15,
	FXP_REALPATH = 16,
	FXP_STAT = 17,
	FXP_RENAME = 18,
	FXP_READLINK = 19,
	FXP_SYMLINK = 20,
	FXP_STATUS = 101,
	FXP_HANDLE = 102,
	FXP_DATA = 103,
	FXP_NAME = 104,
	FXP_ATTRS = 105,
	FXP_EXTENDED = 200,
	FXP_EXTENDED_REPLY = 201,
};

enum wire_status {
	FX_OK = 0,
	FX_EOF = 1,
	FX_NO_SUCH_FILE = 2,
	FX_PERMISSION_DENIED = 3,
	FX_FAILURE = 4,
	FX_BAD_MESSAGE = 5,
	FX_OP_UNSUPPORTED = 8,
};

#define FXF_READ 0x01u
#define FXF_WRITE 0x02u
#define FXF_APPEND 0x04u
#define FXF_CREAT 0x08u
#define FXF_TRUNC 0x10u
#define FXF_EXCL 0x20u

#define ATTR_SIZE 0x01u
#define ATTR_UIDGID 0x02u
#define ATTR_PERMISSIONS 0x04u
#define ATTR_TIMES 0x08u
#define ATTR_EXTENDED 0x80000000u

/* A reader over one packet's body. Any reading past its end sets bad and yields zeros. */
struct wire {
	const unsigned char *p;
	size_t left;
	bool bad;
};

/* Bytes inside the packet, without a NUL. */
struct wire_str {
	const unsigned char *p;
	size_t len;
};

struct wire_attrs {
	uint32_t flags;
	uint64_t size;
	uint32_t uid, gid, mode, atime, mtime;
};

uint8_t wire_u8(struct wire *w);
uint32_t wire_u32(struct wire *w);
uint64_t wire_u64(struct wire *w);
struct wire_str wire_str(struct wire *w);
/* Extended attributes are skipped; unknown flags make it bad. */
void wire_attrs(struct wire *w, struct wire_attrs *ret);
bool wire_is(struct wire_str s, const char *text);

/* Appending to a buffer whose bound the caller has checked. */
void put_u8(struct buf *b, uint8_t v);
void put_u32(struct buf *b, uint32_t v);
void put_u64(struct buf *b, uint64_t v);
void put_str(struct buf *b, const void *data, size_t len);
void put_stat(struct buf *b, const struct stat *st);
/* A packet: its length is filled in by put_end with what put_begin returned. */
size_t put_begin(struct buf *b, uint8_t type, uint32_t id);
void put_end(struct buf *b, size_t start);
void put_status(struct buf *b, uint32_t id, enum wire_status code, const char *text);

#endif
