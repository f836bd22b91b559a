{{ config(materialized='table') }}
select name, sum(amount) as total from {{ ref('staged') }} group by name
