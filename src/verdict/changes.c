/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verdict/changes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"

struct lines {
	char **text;
	size_t n;
	bool too_many;
};

static void lines_clear(struct lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->text[i]);
	free(lines->text);
}

static char *zones_label(unsigned zones)
{
	for (int zone = 0; zone < _ZONE_MAX; zone++)
		if (zones == 1u << zone)
			return strdup(zone_name((enum zone)zone));
	return strdup(zones & 1u << ZONE_LAN ? "lan" : "nothing known");
}

char *location_label(const struct location *location)
{
	char *label = NULL;
	int r;

	if (location->container)
		return strdup(location->container->name);
	if (location->network)
		r = asprintf(&label, "network:%s", location->network->name);
	else if (location->entry)
		r = asprintf(&label, "rule:%s", location->entry->name);
	else if (location->zones & 1u << ZONE_HOST)
		return strdup("host");
	else if (location->resolver)
		return strdup("resolver");
	else
		return zones_label(location->zones);
	return r < 0 ? NULL : label;
}

char *right_text(const struct right *right)
{
	char proto[16], *text = NULL;
	int r;

	if (right->all)
		return strdup(right->but_dns ? "everything but port 53" : "everything");
	proto_name(right->proto, proto);
	if (right->any_port)
		r = asprintf(&text, "%s", proto);
	else if (right->first == right->last)
		r = asprintf(&text, "%u/%s", right->first, proto);
	else
		r = asprintf(&text, "%u-%u/%s", right->first, right->last, proto);
	return r < 0 ? NULL : text;
}

static int line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void lines_sort(struct lines *lines)
{
	size_t kept = 0;

	if (lines->n == 0)
		return;
	qsort(lines->text, lines->n, sizeof(*lines->text), line_compare);
	for (size_t i = 1; i < lines->n; i++) {
		if (strcmp(lines->text[kept], lines->text[i]) == 0)
			free(lines->text[i]);
		else
			lines->text[++kept] = lines->text[i];
	}
	lines->n = kept + 1;
}

static int lines_add(struct lines *lines, char *text)
{
	char **slot = text ? ARRAY_ADD(lines->text, lines->n) : NULL;

	if (!slot) {
		free(text);
		return -ENOMEM;
	}
	*slot = text;
	return 0;
}

/* The names of what is in each class. */
static int label_classes(const struct model *model, struct lines *labels)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];

		if (lines_add(&labels[location->class], location_label(location)) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < model->n_classes; i++)
		lines_sort(&labels[i]);
	return 0;
}

static int add_right(struct lines *lines, const struct lines *from, const struct lines *to, const struct right *right)
{
	_cleanup_free_ char *what = right_text(right);

	if (!what)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++)
		for (size_t k = 0; k < to->n; k++) {
			char *text;

			if (strcmp(from->text[i], to->text[k]) == 0)
				continue;
			if (lines->n >= CHANGES_MAX) {
				lines->too_many = true;
				return 0;
			}
			/* blocks sort apart, so that they can be told apart: a new one closes */
			if (asprintf(&text, "%s%s -> %s: %s", right->deny ? "!" : "", from->text[i], to->text[k],
				     what) < 0 ||
			    lines_add(lines, text) < 0)
				return -ENOMEM;
		}
	return 0;
}

/* Whether a block of everything stands before the right: the rights of a target are sorted, blocks first. */
static bool is_blocked(const struct class *class, size_t i)
{
	if (class->rights[i].deny)
		return false;
	for (size_t k = i; k-- > 0 && class->rights[k].target == class->rights[i].target;)
		if (class->rights[k].deny && class->rights[k].all)
			return true;
	return false;
}

/* "web: 8096/tcp as published" for each port of each front. */
static int label_fronts(const struct model *model, struct lines *labels)
{
	for (size_t i = 0; i < model->n_locations; i++) {
		const struct location *location = &model->locations[i];

		for (size_t k = 0; k < location->n_published; k++) {
			const struct published_port *published = &model->published[location->first_published + k];
			_cleanup_free_ char *label = location_label(location);
			char proto[16], *text;

			proto_name(published->binding.proto, proto);
			if (!label ||
			    asprintf(&text, "%s: %u/%s as published", label, published->binding.host_port, proto) < 0)
				return -ENOMEM;
			if (lines_add(&labels[published->front], text) < 0)
				return -ENOMEM;
		}
	}
	for (size_t i = 0; i < model->n_fronts; i++)
		lines_sort(&labels[i]);
	return 0;
}

static int add_published(struct lines *lines, const struct lines *from, const struct lines *to)
{
	for (size_t i = 0; i < from->n; i++)
		for (size_t k = 0; k < to->n; k++) {
			size_t length = strlen(from->text[i]);
			char *text;

			if (strncmp(from->text[i], to->text[k], length) == 0 && to->text[k][length] == ':')
				continue;
			if (lines->n >= CHANGES_MAX) {
				lines->too_many = true;
				return 0;
			}
			if (asprintf(&text, "%s -> %s", from->text[i], to->text[k]) < 0 || lines_add(lines, text) < 0)
				return -ENOMEM;
		}
	return 0;
}

static int class_lines(const struct class *class, const struct lines *own, const struct lines *labels,
		       const struct lines *fronts, struct lines *ret)
{
	int r = 0;

	for (size_t i = 0; i < class->n_rights && r >= 0; i++)
		if (!is_blocked(class, i))
			r = add_right(ret, own, &labels[class->rights[i].target], &class->rights[i]);
	for (size_t i = 0; i < class->n_front_rights && r >= 0; i++)
		if (class->front_rights[i].cause.kind == CAUSE_PUBLISH) /* the others say nothing new */
			r = add_published(ret, own, &fronts[class->front_rights[i].target]);
	return r;
}

static int model_lines(const struct model *model, struct lines *ret)
{
	struct lines *labels, *fronts;
	int r = 0;

	if (!model)
		return 0;
	labels = calloc(model->n_classes + 1, sizeof(*labels));
	fronts = calloc(model->n_fronts + 1, sizeof(*fronts));
	r = labels && fronts ? label_classes(model, labels) : -ENOMEM;
	if (r >= 0)
		r = label_fronts(model, fronts);
	for (size_t i = 0; i < model->n_classes && r >= 0; i++)
		r = class_lines(&model->classes[i], &labels[i], labels, fronts, ret);
	for (size_t i = 0; labels && i < model->n_classes; i++)
		lines_clear(&labels[i]);
	for (size_t i = 0; fronts && i < model->n_fronts; i++)
		lines_clear(&fronts[i]);
	free(labels);
	free(fronts);
	if (r >= 0 && model->policy->settings.local_users == LOCAL_USERS_ALL) /* root may in any case */
		r = lines_add(ret, strdup("users of this machine -> containers: everything"));
	lines_sort(ret);
	return r;
}

static int changes_add(struct changes *changes, bool appeared, const char *line)
{
	bool deny = line[0] == '!';
	bool opens = appeared != deny;
	char *text = strdup(line + deny), **slot;

	if (!text)
		return -ENOMEM;
	slot = opens ? ARRAY_ADD(changes->opens, changes->n_opens) : ARRAY_ADD(changes->closes, changes->n_closes);
	if (!slot) {
		free(text);
		return -ENOMEM;
	}
	*slot = text;
	return 0;
}

static int compare_lines(const struct lines *from, const struct lines *to, struct changes *ret)
{
	size_t i = 0, k = 0;
	int r = 0;

	while (r >= 0 && (i < from->n || k < to->n)) {
		int order = i == from->n ? 1 : k == to->n ? -1 : strcmp(from->text[i], to->text[k]);

		if (order == 0)
			i++, k++;
		else if (order < 0)
			r = changes_add(ret, false, from->text[i++]);
		else
			r = changes_add(ret, true, to->text[k++]);
	}
	return r;
}

int model_changes(const struct model *from, const struct model *to, struct changes *ret)
{
	struct lines before = { 0 }, after = { 0 };
	struct changes changes = { 0 };
	int r = model_lines(from, &before);

	if (r >= 0)
		r = model_lines(to, &after);
	changes.too_many = before.too_many || after.too_many;
	if (r >= 0 && !changes.too_many)
		r = compare_lines(&before, &after, &changes);
	lines_clear(&before);
	lines_clear(&after);
	if (r < 0) {
		changes_clear(&changes);
		return r;
	}
	*ret = changes;
	return 0;
}

void changes_clear(struct changes *changes)
{
	lines_clear(&(struct lines){ .text = changes->opens, .n = changes->n_opens });
	lines_clear(&(struct lines){ .text = changes->closes, .n = changes->n_closes });
	*changes = (struct changes){ 0 };
}
