MODEL (name shop.seen, kind VIEW);
SELECT city, amount FROM shop.by_city WHERE amount > 1;
