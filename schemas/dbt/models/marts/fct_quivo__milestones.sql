select * from {{ ref('stg_quivo__milestones') }}
