select * from {{ ref('stg_quivo__events') }}
