MODEL (name shop.raw_orders, kind SEED (path '../seeds/orders.csv'), columns (id BIGINT, customer BIGINT, day DATE, amount NUMERIC(10, 2)), grain id);
