/* SPDX-License-Identifier: Apache-2.0 */
/* Webhook requests. The pair of forge and delivery id is unique, which is what makes a repeat harmless. */
#include "agent/store/deliveries.h"

#include "agent/store/sql.h"

bool deliveries_put(Store *store, const DeliverySpec *spec, int64_t *out_id, bool *out_fresh, GError **error)
{
	int64_t id = 0;
	bool fresh = false;
	if (!sql_insert_fresh(store, QUERY_DELIVERY_PUT,
	            VALUES(TEXT(spec->forge), TEXT(spec->delivery), TEXT(spec->repo), TEXT(spec->event), INT(spec->received_us),
	                    TEXT(spec->headers ? spec->headers : "{}"), BYTES(spec->body ? spec->body : "", spec->body_len)),
	            &id, &fresh, error))
		return false;
	if (!fresh && out_id &&
	        !sql_int(store, QUERY_DELIVERY_ID, VALUES(TEXT(spec->forge), TEXT(spec->delivery)), &id, NULL, error))
		return false;
	if (out_id)
		*out_id = id;
	if (out_fresh)
		*out_fresh = fresh;
	return true;
}

json_t *deliveries_next(Store *store, GError **error)
{
	return sql_object(store, QUERY_DELIVERY_NEXT, NO_VALUES, error);
}

bool deliveries_done(Store *store, int64_t id, const char *outcome, const char *message, GError **error)
{
	int64_t changed = 0;
	if (!sql_run_counted(store, QUERY_DELIVERY_DONE, VALUES(INT(id), TEXT(outcome), TEXT(message)), &changed, error))
		return false;
	return changed > 0 || fail(error, ASSAY_ERROR_ABSENT, "no delivery with id %" G_GINT64_FORMAT, id);
}

json_t *deliveries_list(Store *store, const char *repo, const char *after, int64_t limit, GError **error)
{
	Page page;
	if (!page_parse(after, limit, &page, error))
		return NULL;
	if (repo)
		return sql_page(store, QUERY_DELIVERY_LIST_REPO, VALUES(INT(page.at), INT(page.rows), TEXT(repo)),
		        "deliveries", &page, error);
	return sql_page(store, QUERY_DELIVERY_LIST, VALUES(INT(page.at), INT(page.rows)), "deliveries", &page, error);
}
