/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "verdict/resolve.h"

/*
 * Who is meant by a name is asked for every container and every clause. So the names that the policy knows stand in a
 * table of their own; what nobody speaks of is not in it.
 */

/* Whom a container is meant by: its own name, and that of its service. */
struct meant {
	struct name *own, *service;
};

struct names {
	struct name *table;
	struct meant *containers; /* of each of the inventory, after names_meet() */
	const struct member **networks; /* likewise their entries */
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
	free(names->containers);
	free(names->networks);
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
static struct name *names_of_service(const struct model *model, const struct container *container)
{
	char text[SERVICE_NAME_MAX];
	int length;

	if (!container->project || !container->service || strchr(container->project, '/'))
		return NULL;
	length = snprintf(text, sizeof(text), "%s/%s", container->project, container->service);
	return length < (int)sizeof(text) ? find(model, text) : NULL;
}

static struct name *find_own(const struct model *model, const struct container *container)
{
	struct name *name;

	if (!container->stamp)
		return find(model, container->name);
	HASH_FIND_BYHASHVALUE(hh, model->names->table, container->name, strlen(container->name), container->name_hash,
			      name);
	return name;
}

static struct meant meant_by(const struct model *model, const struct container *container)
{
	if (model->names->containers)
		return model->names->containers[container - model->inventory->containers];
	return (struct meant){ find_own(model, container), names_of_service(model, container) };
}

int names_meet(struct model *model)
{
	size_t n = model->inventory->n_containers;
	struct meant *all = calloc(n + 1, sizeof(*all));

	model->names->networks = calloc(model->inventory->n_networks + 1, sizeof(*model->names->networks));
	if (!all || !model->names->networks) {
		free(all);
		return -ENOMEM;
	}
	for (size_t i = 0; i < model->inventory->n_networks; i++) {
		struct name *name = find(model, model->inventory->networks[i].name);

		if (!name)
			continue;
		name->kinds |= 1u << MEMBER_NETWORK;
		model->names->networks[i] = name->entries[MEMBER_NETWORK];
	}
	for (size_t i = 0; i < n; i++) {
		all[i] = meant_by(model, &model->inventory->containers[i]);
		if (all[i].own)
			all[i].own->kinds |= 1u << MEMBER_CONTAINER;
		if (all[i].service)
			all[i].service->kinds |= 1u << MEMBER_CONTAINER;
	}
	model->names->containers = all;
	return 0;
}

const struct member *model_entry(const struct model *model, enum member_kind kind, const char *name)
{
	const struct name *found = names_find(model, name);

	return found ? found->entries[kind] : NULL;
}

const struct member *names_of_network(const struct model *model, const struct network *network)
{
	return model->names->networks[network - model->inventory->networks];
}

const struct member *names_of_container(const struct model *model, const struct container *container,
					bool *ret_selected)
{
	struct meant meant = meant_by(model, container);
	const struct member *entry = meant.own ? meant.own->entries[MEMBER_CONTAINER] : NULL;

	*ret_selected = (meant.own && meant.own->selected) || (meant.service && meant.service->selected);
	return entry || !meant.service ? entry : meant.service->entries[MEMBER_CONTAINER];
}

const struct member *container_entry(const struct model *model, const struct container *container)
{
	bool selected;

	return names_of_container(model, container, &selected);
}
