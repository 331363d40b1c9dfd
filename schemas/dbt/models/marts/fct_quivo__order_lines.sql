-- The lines as quivo_frames worked them out. Which row belongs to which line is its rule alone: nothing is matched here.
select * from {{ ref('stg_quivo__lines') }}
