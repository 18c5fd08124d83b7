"""Lets nothing else be paid for a payment before what was to pay it is dead, whoever connects (R-20)."""

from django.db import migrations

# Dead is: the bank has rejected its line, or its vouchers have all expired or were cancelled; of a payment by bitcoin it is
# the void of its payout, which ADR 8 and 12 prove. ENABLE ALWAYS and the search_path are those of 0030.
FORWARD = """
CREATE FUNCTION payments_require_dead_leg() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    is_dead boolean := false;
    has_arrived boolean := false;
BEGIN
    IF NEW.rail = 'bank' THEN
        SELECT coalesce(bool_or(l.outcome = 'rejected'), false), coalesce(bool_or(l.outcome = 'settled'), false)
        INTO is_dead, has_arrived FROM payments_bankfileline l WHERE l.settles = 'payment' AND l.settles_id = NEW.id;
    ELSIF NEW.rail = 'voucher' THEN
        SELECT coalesce(bool_and(v.status IN ('expired', 'cancelled')), false),
            coalesce(bool_or(v.status = 'redeemed'), false)
        INTO is_dead, has_arrived FROM payments_voucher v WHERE v.payment_id = NEW.id;
    END IF;
    IF OLD.status = 'voided' AND NEW.status <> 'voided' THEN
        RAISE EXCEPTION 'Payment % is void for good: something else may pay it.', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_dead_for_good';
    ELSIF NEW.status = 'voided' AND OLD.status <> 'voided' AND NOT is_dead THEN
        RAISE EXCEPTION 'What pays payment % is not dead.', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_dead_before_void';
    ELSIF NEW.status IN ('held', 'cancelled') AND OLD.sent_at IS NOT NULL THEN
        RAISE EXCEPTION 'Payment % is sent; it cannot be stopped any more.', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_sent_goes_on';
    ELSIF NEW.settled_at IS NOT NULL AND OLD.settled_at IS NULL AND NOT has_arrived THEN
        RAISE EXCEPTION 'Nobody says that payment % has arrived.', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_settled_by_proof';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_dead_before_void BEFORE UPDATE OF status, settled_at ON payments_payment
    FOR EACH ROW WHEN (NEW.rail <> 'bitcoin') EXECUTE FUNCTION payments_require_dead_leg();
ALTER TABLE payments_payment ENABLE ALWAYS TRIGGER payment_dead_before_void;

CREATE FUNCTION payments_require_void_original() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM payments_payment WHERE id = NEW.reissue_of_id AND status = 'voided';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Payment % may still arrive: nothing stands in for it.', NEW.reissue_of_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_reissues_what_is_void';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_reissues_what_is_void BEFORE INSERT ON payments_payment
    FOR EACH ROW WHEN (NEW.reissue_of_id IS NOT NULL) EXECUTE FUNCTION payments_require_void_original();
ALTER TABLE payments_payment ENABLE ALWAYS TRIGGER payment_reissues_what_is_void;

CREATE FUNCTION payments_keep_rail() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM payments_disbursement WHERE id = NEW.disbursement_id AND status = 'draft' AND rail = NEW.rail;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Payment % is paid as its list says, which is chosen while that is a draft.', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_rail_of_its_list';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_rail_of_its_list BEFORE UPDATE OF rail ON payments_payment
    FOR EACH ROW WHEN (NEW.rail <> OLD.rail) EXECUTE FUNCTION payments_keep_rail();
ALTER TABLE payments_payment ENABLE ALWAYS TRIGGER payment_rail_of_its_list;

CREATE FUNCTION payments_keep_rail_of_list() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.rail <> OLD.rail AND OLD.status <> 'draft' THEN
        RAISE EXCEPTION 'How list % is paid is chosen while it is a draft.', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'disbursement_rail_of_a_draft';
    END IF;
    IF OLD.status = 'draft' AND NEW.status = 'submitted' AND EXISTS (
        SELECT FROM payments_payment WHERE disbursement_id = NEW.id AND rail <> NEW.rail) THEN
        RAISE EXCEPTION 'A line of list % is to be paid otherwise than the list.', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_rail_of_its_list';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER disbursement_rail_of_a_draft BEFORE UPDATE OF rail, status ON payments_disbursement
    FOR EACH ROW EXECUTE FUNCTION payments_keep_rail_of_list();
ALTER TABLE payments_disbursement ENABLE ALWAYS TRIGGER disbursement_rail_of_a_draft;

CREATE FUNCTION payments_bank_line_of_a_payment() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added a WHERE a.settles = 'payment' AND NOT EXISTS (
            SELECT FROM payments_payment p JOIN payments_disbursement d ON d.id = p.disbursement_id
            JOIN payments_bankfile f ON f.id = a.bank_file_id AND f.program_id = d.program_id
            WHERE p.id = a.settles_id AND p.rail = 'bank' AND p.status = 'pending' AND p.sent_at IS NULL
                AND d.status = 'released' AND p.amount_minor = a.amount_minor)) THEN
        RAISE EXCEPTION 'A bank file pays what a released list pays by bank, and no other sum.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bankfileline_of_a_released_list';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bankfileline_of_a_released_list AFTER INSERT ON payments_bankfileline
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION payments_bank_line_of_a_payment();
ALTER TABLE payments_bankfileline ENABLE ALWAYS TRIGGER bankfileline_of_a_released_list;

CREATE FUNCTION payments_keep_voucher() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    kept text[] := '{id,program_id,payment_id,amount_minor,currency,made_at,expires_at,replaces_id}';
    changed text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM 1 FROM payments_payment p JOIN payments_disbursement d ON d.id = p.disbursement_id
        WHERE p.id = NEW.payment_id AND p.rail = 'voucher' AND p.status = 'pending' AND p.settled_at IS NULL
            AND d.status = 'released' AND d.program_id = NEW.program_id AND p.amount_minor = NEW.amount_minor;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'A voucher pays what a released list pays by voucher, and no other sum.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_of_a_released_list';
        END IF;
        RETURN NEW;
    END IF;
    SELECT string_agg(k, ', ') INTO changed FROM unnest(kept) k
    WHERE to_jsonb(NEW) -> k IS DISTINCT FROM to_jsonb(OLD) -> k;
    IF changed IS NOT NULL OR (OLD.ended_at IS NOT NULL AND NEW IS DISTINCT FROM OLD) THEN
        RAISE EXCEPTION 'Voucher % stays what it is: %.', OLD.id, coalesce(changed, OLD.status)
            USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_stays';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER voucher_stays BEFORE INSERT OR UPDATE ON payments_voucher
    FOR EACH ROW EXECUTE FUNCTION payments_keep_voucher();
ALTER TABLE payments_voucher ENABLE ALWAYS TRIGGER voucher_stays;
"""
BACKWARD = """
DROP TRIGGER voucher_stays ON payments_voucher;
DROP TRIGGER bankfileline_of_a_released_list ON payments_bankfileline;
DROP TRIGGER disbursement_rail_of_a_draft ON payments_disbursement;
DROP TRIGGER payment_rail_of_its_list ON payments_payment;
DROP TRIGGER payment_reissues_what_is_void ON payments_payment;
DROP TRIGGER payment_dead_before_void ON payments_payment;
DROP FUNCTION payments_keep_voucher();
DROP FUNCTION payments_bank_line_of_a_payment();
DROP FUNCTION payments_keep_rail_of_list();
DROP FUNCTION payments_keep_rail();
DROP FUNCTION payments_require_void_original();
DROP FUNCTION payments_require_dead_leg();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0065_other_rails")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
