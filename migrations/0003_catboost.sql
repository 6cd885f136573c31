-- Expand: CatBoost's models are a format beside the others.
set local lock_timeout = '2s';

alter table rowcast.model_version drop constraint model_version_format_known;
alter table rowcast.model_version add constraint model_version_format_known
    check (format in ('onnx', 'lightgbm', 'xgboost', 'catboost'));
