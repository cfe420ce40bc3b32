insert into dray_audit (at, by, via, action, target, detail) values (:at, :by, :via, :action, :target, :detail)
