/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/nft_batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/array.h"

#define MESSAGE_ROOM (128u * 1024u) /* an attribute is 64 KiB at most, and one of ours is nearly all of a message */
#define BATCH_MAX (1u << 30)
#define TRIES 10
#define LARGE 65536 /* bytes: a thousand elements */

/* Ours start here, those of nlsocket at 1: answers are never mistaken for one another. */
#define SEQUENCE_FIRST 0x80000000u

struct nft_batch {
	struct nft *nft;
	char *bytes;
	size_t used, size;
	struct nft_note *notes; /* of message i + 1: the first is the batch's own head */
	size_t n_notes;
	uint32_t first; /* sequence number of the head */
	uint32_t last_set;
	bool guarded;
	size_t last; /* where the last message starts; the head is not one */
};

/* What the kernel answered. */
struct answer {
	bool done; /* the last message was taken */
	bool lost; /* answers were lost */
	int code; /* the first error, negative */
	uint32_t sequence; /* of the message it is about */
	char text[200];
};

static bool batch_room(struct nft_batch *batch)
{
	size_t size = batch->size ? batch->size : 2 * MESSAGE_ROOM;
	char *bytes;

	while (size - batch->used < MESSAGE_ROOM)
		size *= 2;
	if (size == batch->size)
		return true;
	if (size > BATCH_MAX)
		return false;
	bytes = realloc(batch->bytes, size);
	if (!bytes)
		return false;
	batch->bytes = bytes;
	batch->size = size;
	return true;
}

struct nft_batch *nft_batch_new(struct nft *nft, uint32_t generation)
{
	_cleanup_(nft_batch_freep) struct nft_batch *batch = calloc(1, sizeof(*batch));
	struct nlmsghdr *head;

	if (!batch || !batch_room(batch))
		return NULL;
	batch->nft = nft;
	batch->first = nft->sequence | SEQUENCE_FIRST;
	head = nftnl_batch_begin(batch->bytes, batch->first);
	if (generation)
		mnl_attr_put_u32(head, NFNL_BATCH_GENID, htonl(generation));
	batch->guarded = generation != 0;
	batch->used = NLMSG_ALIGN(head->nlmsg_len);
	return TAKE_PTR(batch);
}

struct nft_batch *nft_batch_free(struct nft_batch *batch)
{
	if (!batch)
		return NULL;
	free(batch->bytes);
	free(batch->notes);
	free(batch);
	return NULL;
}

struct nlmsghdr *nft_batch_begin(struct nft_batch *batch, int type, int flags, const struct nft_note *note)
{
	struct nft_note *kept;

	if (!batch_room(batch))
		return NULL;
	kept = ARRAY_ADD(batch->notes, batch->n_notes);
	if (!kept)
		return NULL;
	*kept = *note;
	return nftnl_nlmsg_build_hdr(batch->bytes + batch->used, (uint16_t)type, NFPROTO_INET, (uint16_t)flags,
				     batch->first + (uint32_t)batch->n_notes);
}

void nft_batch_end(struct nft_batch *batch, const struct nlmsghdr *message)
{
	batch->last = batch->used;
	batch->used += NLMSG_ALIGN(message->nlmsg_len);
}

bool nft_batch_is_empty(const struct nft_batch *batch)
{
	return batch->n_notes == 0;
}

uint32_t nft_batch_set_id(struct nft_batch *batch)
{
	return ++batch->last_set;
}

/* The sentence that comes with an error, if any. */
static void answer_keep_text(struct answer *answer, const struct nlmsghdr *message)
{
	const struct nlmsgerr *told = mnl_nlmsg_get_payload(message);
	size_t offset = sizeof(*told);
	const struct nlattr *attr;

	if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(message->nlmsg_flags & NLM_F_CAPPED))
		offset += NLMSG_ALIGN(told->msg.nlmsg_len) - sizeof(told->msg);
	if (offset > mnl_nlmsg_get_payload_len(message))
		return;
	mnl_attr_for_each(attr, message, offset)
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
			snprintf(answer->text, sizeof(answer->text), " (%.*s)", (int)mnl_attr_get_payload_len(attr),
				 mnl_attr_get_str(attr));
}

static void answer_take(struct answer *answer, const struct nft_batch *batch, const struct nlmsghdr *message)
{
	const struct nlmsgerr *told = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(message) < sizeof(*told) ||
	    message->nlmsg_seq - batch->first > batch->n_notes)
		return;
	if (told->error == 0) {
		answer->done = answer->done || message->nlmsg_seq - batch->first == batch->n_notes;
		return;
	}
	if (answer->code)
		return;
	answer->code = told->error;
	answer->sequence = message->nlmsg_seq;
	answer_keep_text(answer, message);
}

/* The kernel has done its work when the send returns: what it has to say is there. */
static void answer_read(struct answer *answer, const struct nft_batch *batch)
{
	for (;;) {
		const struct nlmsghdr *message;
		int length, r;

		r = nlsocket_receive(batch->nft->socket, &message, &length);
		if (r == -ENOBUFS) {
			answer->lost = true;
			continue;
		}
		if (r < 0)
			return;
		for (; mnl_nlmsg_ok(message, length); message = mnl_nlmsg_next(message, &length))
			answer_take(answer, batch, message);
	}
}

/* A message is copied whole into a buffer of the socket's. */
static void batch_make_room(struct nft_batch *batch)
{
	int fd = nlsocket_fd(batch->nft->socket), bytes = (int)batch->used + 65536;

	if (bytes <= batch->nft->room)
		return;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	batch->nft->room = bytes;
}

/* Sends what is in it, and reads what the kernel has to say: an error of the sending alone. */
static int batch_write(struct nft_batch *batch, struct answer *answer)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct answer stale = { 0 };
	ssize_t sent;

	answer_read(&stale, batch);
	*answer = (struct answer){ 0 };
	do
		sent = sendto(nlsocket_fd(batch->nft->socket), batch->bytes, batch->used, 0,
			      (const struct sockaddr *)&kernel, sizeof(kernel));
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	answer_read(answer, batch);
	return 0;
}

static int batch_commit(struct nft_batch *batch, struct answer *answer)
{
	int r = batch_write(batch, answer);

	if (r < 0)
		return r;
	return answer->code ? answer->code : answer->done ? 0 : answer->lost ? -ENOBUFS : -EIO;
}

static void batch_end(struct nft_batch *batch)
{
	struct nlmsghdr *end = nftnl_batch_end(batch->bytes + batch->used, batch->first + (uint32_t)batch->n_notes + 1);

	batch->nft->sequence += (uint32_t)batch->n_notes + 2;
	batch->used += NLMSG_ALIGN(end->nlmsg_len);
}

/* Another transaction at the same moment is no refusal; for a guarded one it is. */
static int batch_try(struct nft_batch *batch, struct answer *answer)
{
	int r = -EAGAIN;

	for (int i = 0; i < TRIES && (r == -EAGAIN || r == -EINTR || r == -ERESTART); i++) {
		r = batch_commit(batch, answer);
		if (r == -ERESTART && batch->guarded)
			break;
	}
	return r;
}

static int answer_tell(const struct answer *answer, const struct nft_batch *batch, struct error *error)
{
	size_t i = answer->sequence - batch->first;
	const struct nft_note *note;
	char number[16] = "";
	bool table;

	if (i == 0 || i > batch->n_notes)
		return error_set(error, -answer->code, "nftables took nothing: %s%s", strerror(-answer->code),
				 answer->text);
	note = &batch->notes[i - 1];
	table = strcmp(note->what, "table") == 0;
	if (table && answer->code == -EPERM)
		return error_set(error, EBUSY, "table inet %s belongs to another process: is another sprd running?",
				 note->table);
	if (table && answer->code == -EEXIST)
		return error_set(error, EEXIST, "there is a table inet %s already: 'spr down' removes it", note->table);
	if (note->number)
		snprintf(number, sizeof(number), "%u of ", note->number);
	return error_set(error, -answer->code, "table inet %s, %s %s%s: %s%s", note->table, note->what, number,
			 note->name ? note->name : "", strerror(-answer->code), answer->text);
}

/* The kernel looks at the number once nobody else writes; of success it says nothing where there is nothing to do. */
bool nft_batch_settled(struct nft *nft, uint32_t generation)
{
	_cleanup_(nft_batch_freep) struct nft_batch *batch = nft_batch_new(nft, generation);
	struct answer answer;

	if (!batch)
		return false;
	batch_end(batch);
	return batch_write(batch, &answer) == 0 && !answer.code && !answer.lost;
}

int nft_batch_send(struct nft_batch *batch, struct error *error)
{
	struct nft_watch *watch;
	struct answer answer;
	int r;

	if (nft_batch_is_empty(batch))
		return 0;
	if (!batch->last || !batch_room(batch))
		return error_memory(error);
	((struct nlmsghdr *)(batch->bytes + batch->last))->nlmsg_flags |= NLM_F_ACK;
	batch_end(batch);
	batch_make_room(batch);
	watch = batch->used > LARGE ? batch->nft->watch : NULL;
	if (watch)
		nft_watch_pause(watch);
	r = batch_try(batch, &answer);
	if (watch)
		nft_watch_resume(watch, r == 0);
	if (r == 0)
		return 0;
	if (r == -ERESTART && batch->guarded)
		return error_set(error, ERESTART, "others changed nftables meanwhile");
	if (answer.code)
		return answer_tell(&answer, batch, error);
	return error_set(error, -r, "nftables does not answer: %s", strerror(-r));
}
