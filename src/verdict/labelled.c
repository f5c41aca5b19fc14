/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/array.h"
#include "verdict/resolve.h"

/*
 * `labels: trust`. A container that has no entry in the policy has the one that its own labels describe. What its image
 * says stays a request, so that whoever makes an image grants himself nothing; the same where nobody knows who said it,
 * and where the image claims to be somebody's service.
 */

#define NOTES_MAX 100

static int note(struct model *model, const char *format, ...) _printf_(2, 3);
static int note(struct model *model, const char *format, ...)
{
	char **slot, *text;
	va_list args;
	int r;

	if (model->n_notes >= NOTES_MAX)
		return 0;
	va_start(args, format);
	r = vasprintf(&text, format, args);
	va_end(args);
	slot = r < 0 ? NULL : ARRAY_ADD(model->notes, model->n_notes);
	if (!slot) {
		if (r >= 0)
			free(text);
		return -ENOMEM;
	}
	*slot = text;
	return 0;
}

/* A group is made by who writes the policy: a name that it does not know is most often a slip of the pen. */
static int cut_groups(struct model *model, const struct container *container, struct member *entry)
{
	for (size_t i = entry->n_groups; i-- > 0;) {
		if (policy_group(model->policy, entry->groups[i]))
			continue;
		if (note(model, "%s: its label asks for the group %s, which the policy does not know: it does nothing",
			 container->name, entry->groups[i]) < 0)
			return -ENOMEM;
		free(entry->groups[i]);
		ARRAY_CUT(entry->groups, entry->n_groups, i);
	}
	return 0;
}

/* Policies and groups that cannot be read are none: they may have been fewer than those of the network. */
static int read_requests(struct model *model, const struct container *container, struct asked *asked)
{
	struct error error;

	for (size_t i = 0; i < container->n_requests; i++) {
		const struct request *request = &container->requests[i];
		int r = request->image ? 0 : label_read(request->key, request->text, asked, &error);

		if (r == -ENOMEM)
			return r;
		if (r < 0 && note(model, "%s: %s", container->name, error.text) < 0)
			return -ENOMEM;
		asked->has_policies |= r < 0 && strcmp(request->key, "policies") == 0;
		asked->entry.has_groups |= r < 0 && strcmp(request->key, "groups") == 0;
	}
	return cut_groups(model, container, &asked->entry);
}

static bool is_trusted(const struct model *model, const struct container *container)
{
	bool own = false;

	if (container->image_labels || container->host_network || strcmp(container->name, "?") == 0 ||
	    member_name_check(container->name, NULL) < 0)
		return false;
	for (size_t i = 0; i < container->n_requests; i++)
		own = own || !container->requests[i].image;
	return own && !container_entry(model, container);
}

int labelled_fill(struct model *model)
{
	for (size_t i = 0; i < model->inventory->n_containers; i++) {
		const struct container *container = &model->inventory->containers[i];
		struct labelled *labelled;

		if (model->policy->settings.labels != LABELS_TRUST || !is_trusted(model, container))
			continue;
		labelled = ARRAY_ADD(model->labelled, model->n_labelled);
		if (!labelled)
			return -ENOMEM;
		labelled->container = container;
		labelled->asked.entry = (struct member){ .kind = MEMBER_CONTAINER, .isolate = -1 };
		labelled->asked.entry.name = strdup(container->name);
		if (!labelled->asked.entry.name || read_requests(model, container, &labelled->asked) < 0)
			return -ENOMEM;
	}
	return 0;
}

const struct labelled *labelled_of(const struct model *model, const struct container *container)
{
	size_t low = 0, high = model->n_labelled;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (model->labelled[middle].container < container)
			low = middle + 1;
		else
			high = middle;
	}
	return low < model->n_labelled && model->labelled[low].container == container ? &model->labelled[low] : NULL;
}
