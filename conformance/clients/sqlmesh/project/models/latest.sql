MODEL (name shop.latest, kind INCREMENTAL_BY_UNIQUE_KEY (unique_key customer));
SELECT customer::BIGINT AS customer, MAX(day)::DATE AS day FROM shop.orders GROUP BY customer;
