-- Earlier versions stored codes of the OMS reference where there are names now: why a task failed, and why its list of failed
-- objects is not at the target. Every code that was ever stored is here.
UPDATE tasks SET reason_code = CASE reason_code
    WHEN 'TRF.0004' THEN 'objects_failed'
    WHEN 'TRF.0011' THEN 'no_source_objects'
    WHEN 'TRF.0013' THEN 'manifest_unreadable'
    WHEN 'TRF.0014' THEN 'manifest_form'
    WHEN 'TRF.0016' THEN 'manifest_line'
    WHEN 'TRF.0017' THEN 'manifest_empty'
    WHEN 'TRF.0018' THEN 'manifest_line_too_long'
    WHEN 'TRF.0019' THEN 'manifest_type'
    WHEN 'TRF.0051' THEN 'target_permission'
    WHEN 'TRF.0055' THEN 'target_full'
    WHEN 'TRF.0057' THEN 'target_credentials'
    WHEN 'TRF.0058' THEN 'target_bucket'
    WHEN 'TRF.0061' THEN 'target_unavailable'
    WHEN 'TRF.0151' THEN 'source_credentials'
    WHEN 'TRF.0152' THEN 'source_permission'
    WHEN 'TRF.0155' THEN 'source_bucket'
    WHEN 'TRF.0156' THEN 'source_object'
    WHEN 'TRF.0157' THEN 'source_unavailable'
    WHEN 'TRF.0158' THEN 'target_encryption'
    WHEN 'TRF.0159' THEN 'source_throttled'
    WHEN 'TRF.0160' THEN 'source_archived'
    WHEN 'TRF.0301' THEN 'manifest_archived'
    -- 'TRF.0001'.
    ELSE 'system_error'
    END
    WHERE reason_code IS NOT NULL;
UPDATE tasks SET failed_list_error = CASE failed_list_error
    WHEN 'OMS.0304' THEN 'not_stored'
    WHEN 'OMS.0305' THEN 'too_large'
    ELSE failed_list_error
    END
    WHERE failed_list_error IS NOT NULL;
