select node from dray_leader where role = :role and boot = :boot and until >= :steady
