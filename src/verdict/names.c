/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "verdict/resolve.h"

/*
 * Who is meant by a name is asked for every container and every clause. So the names that the policy knows stand in a
 * table of their own; what nobody speaks of is not in it.
 */

struct names {
	struct name *table;
};

#define SERVICE_NAME_MAX 520

struct names *names_free(struct names *names)
{
	struct name *name, *next;

	if (!names)
		return NULL;
	HASH_ITER(hh, names->table, name, next) {
		HASH_DEL(names->table, name);
		free(name);
	}
	free(names);
	return NULL;
}

static struct name *find(const struct model *model, const char *text)
{
	struct name *name;

	HASH_FIND_STR(model->names->table, text, name);
	return name;
}

const struct name *names_find(const struct model *model, const char *text)
{
	return find(model, text);
}

static struct name *add(struct model *model, const char *text)
{
	struct name *name = find(model, text);

	if (name)
		return name;
	name = calloc(1, sizeof(*name));
	if (!name)
		return NULL;
	name->text = text;
	HASH_ADD_KEYPTR(hh, model->names->table, name->text, strlen(name->text), name);
	if (!name->hh.tbl) {
		free(name);
		return NULL;
	}
	return name;
}

int names_fill(struct model *model)
{
	model->names = calloc(1, sizeof(*model->names));
	if (!model->names)
		return -ENOMEM;
	for (size_t i = 0; i < model->policy->n_members; i++) {
		const struct member *member = &model->policy->members[i];
		struct name *name = add(model, member->name);

		if (!name)
			return -ENOMEM;
		name->kinds |= 1u << member->kind;
		if (!name->entries[member->kind])
			name->entries[member->kind] = member;
	}
	return 0;
}

int names_select(struct model *model, const struct selector *selector)
{
	struct name *name;

	if (selector->kind != SELECT_MEMBER && selector->kind != SELECT_NAME)
		return 0;
	name = add(model, selector->name);
	if (!name)
		return -ENOMEM;
	name->selected = true;
	return 0;
}

/* As container_named() has it: a project has no slash in its name. */
static const struct name *names_of_service(const struct model *model, const struct container *container)
{
	char text[SERVICE_NAME_MAX];
	int length;

	if (!container->project || !container->service || strchr(container->project, '/'))
		return NULL;
	length = snprintf(text, sizeof(text), "%s/%s", container->project, container->service);
	return length < (int)sizeof(text) ? find(model, text) : NULL;
}

void names_meet(struct model *model)
{
	for (size_t i = 0; i < model->inventory->n_networks; i++) {
		struct name *name = find(model, model->inventory->networks[i].name);

		if (name)
			name->kinds |= 1u << MEMBER_NETWORK;
	}
	for (size_t i = 0; i < model->inventory->n_containers; i++) {
		const struct container *container = &model->inventory->containers[i];
		struct name *name = find(model, container->name);
		const struct name *service = names_of_service(model, container);

		if (name)
			name->kinds |= 1u << MEMBER_CONTAINER;
		if (service)
			find(model, service->text)->kinds |= 1u << MEMBER_CONTAINER;
	}
}

const struct member *model_entry(const struct model *model, enum member_kind kind, const char *name)
{
	const struct name *found = names_find(model, name);

	return found ? found->entries[kind] : NULL;
}

const struct member *names_of_container(const struct model *model, const struct container *container,
					bool *ret_selected)
{
	const struct name *own = find(model, container->name), *service = names_of_service(model, container);
	const struct member *entry = own ? own->entries[MEMBER_CONTAINER] : NULL;

	*ret_selected = (own && own->selected) || (service && service->selected);
	return entry || !service ? entry : service->entries[MEMBER_CONTAINER];
}

const struct member *container_entry(const struct model *model, const struct container *container)
{
	bool selected;

	return names_of_container(model, container, &selected);
}
