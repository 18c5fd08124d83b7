"""Triggers that hold whoever connects: a program keeps its currency, its lists are in it, and are converted once."""

from django.db import migrations

# ENABLE ALWAYS and the search_path are those of 0033.
FORWARD = """
CREATE FUNCTION payments_keep_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'program_keeps_its_currency: % owes what it owes in %.', OLD.code, OLD.currency
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER program_keeps_its_currency BEFORE UPDATE OF currency ON payments_program FOR EACH ROW
    WHEN (OLD.currency IS DISTINCT FROM NEW.currency) EXECUTE FUNCTION payments_keep_currency();
ALTER TABLE payments_program ENABLE ALWAYS TRIGGER program_keeps_its_currency;

CREATE FUNCTION payments_list_in_currency() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE code text;
BEGIN
    SELECT p.currency INTO code FROM payments_program p WHERE p.id = NEW.program_id;
    IF (code = 'sat') <> (NEW.total_minor IS NULL) THEN
        RAISE EXCEPTION 'disbursement_in_its_currency: lists of program % are in %.', NEW.program_id, code
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.quote_id IS NOT NULL AND code <> (SELECT q.currency FROM payments_quote q WHERE q.id = NEW.quote_id) THEN
        RAISE EXCEPTION 'disbursement_quoted_in_its_currency: quote % is of another one than %.', NEW.quote_id, code
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.quote_id IS NOT NULL
        AND (OLD.quote_id, OLD.total_sat) IS DISTINCT FROM (NEW.quote_id, NEW.total_sat)
    THEN
        RAISE EXCEPTION 'disbursement_converted_once: list % was converted by quote %.', OLD.id, OLD.quote_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER disbursement_in_its_currency BEFORE INSERT OR UPDATE OF program_id, total_minor, total_sat, quote_id
    ON payments_disbursement FOR EACH ROW EXECUTE FUNCTION payments_list_in_currency();
ALTER TABLE payments_disbursement ENABLE ALWAYS TRIGGER disbursement_in_its_currency;

CREATE FUNCTION payments_lines_in_currency() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE found_id bigint;
BEGIN
    SELECT n.id INTO found_id FROM inserted n JOIN payments_disbursement d ON d.id = n.disbursement_id
    WHERE (n.amount_minor IS NULL) <> (d.total_minor IS NULL) LIMIT 1;
    IF found_id IS NOT NULL THEN
        RAISE EXCEPTION 'payment_in_its_currency: payment % is in another unit than its list.', found_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_in_its_currency AFTER INSERT ON payments_payment REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION payments_lines_in_currency();
ALTER TABLE payments_payment ENABLE ALWAYS TRIGGER payment_in_its_currency;

CREATE FUNCTION payments_keep_conversion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'payment_converted_once: what payment % is of is fixed.', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER payment_converted_once BEFORE UPDATE OF amount_minor, amount_sat, remainder_minor ON payments_payment
    FOR EACH ROW WHEN (OLD.amount_minor IS DISTINCT FROM NEW.amount_minor OR (
        OLD.amount_minor IS NOT NULL AND OLD.amount_sat IS NOT NULL
        AND (OLD.amount_sat, OLD.remainder_minor) IS DISTINCT FROM (NEW.amount_sat, NEW.remainder_minor)))
    EXECUTE FUNCTION payments_keep_conversion();
ALTER TABLE payments_payment ENABLE ALWAYS TRIGGER payment_converted_once;
"""
BACKWARD = """
DROP TRIGGER payment_converted_once ON payments_payment;
DROP FUNCTION payments_keep_conversion();
DROP TRIGGER payment_in_its_currency ON payments_payment;
DROP FUNCTION payments_lines_in_currency();
DROP TRIGGER disbursement_in_its_currency ON payments_disbursement;
DROP FUNCTION payments_list_in_currency();
DROP TRIGGER program_keeps_its_currency ON payments_program;
DROP FUNCTION payments_keep_currency();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0060_money")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
