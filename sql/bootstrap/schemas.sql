-- Makes the three schemas, owned by rowcast_admin, where they are missing.
--
-- Runs as the user who migrates, who needs the right to create schemas in this database.
do $$
begin
    if to_regnamespace('rowcast') is null then
        create schema rowcast authorization rowcast_admin;
    end if;
    if to_regnamespace('predictions') is null then
        create schema predictions authorization rowcast_admin;
    end if;
    if to_regnamespace('rowcast_run') is null then
        create schema rowcast_run authorization rowcast_admin;
    end if;
end
$$;
